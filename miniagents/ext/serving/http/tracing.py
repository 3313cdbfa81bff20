"""Traces: a request with a `traceparent` continues that trace."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import HTTPConnection

from miniagents.agents import MiniAgents
from miniagents.ext.serving.http.request_headers import header


@contextmanager
def traced(system: MiniAgents, request: HTTPConnection) -> Iterator[None]:
    """Make the calls of agents in the block part of the trace of the request, if OpenTelemetry observes the system.

    The current span, for example of an instrumented server, is their parent instead, if there is one.

    Args:
        system: The system that runs the agents.
        request: The request, with its `traceparent` and `tracestate`.
    """
    if system.observers.outer_trace is None or header(request.scope, b"traceparent") is None:
        yield
        return
    try:
        from opentelemetry import context as contexts
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError:  # another observer than OpenTelemetry
        yield
        return
    current = contexts.get_current()
    if trace.get_current_span(current).get_span_context().is_valid:
        yield
        return
    token = contexts.attach(TraceContextTextMapPropagator().extract(request.headers, current))
    try:
        yield
    finally:
        contexts.detach(token)
