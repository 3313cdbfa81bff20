"""Traces: a request that says which trace it is part of (`traceparent`) goes on with it."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import HTTPConnection

from miniagents.agents import MiniAgents


@contextmanager
def traced(system: MiniAgents, request: HTTPConnection) -> Iterator[None]:
    """Calls of agents in here are part of the request's trace, if OpenTelemetry sees the system.

    A span that is current already, that of an instrumented server for one, is their parent instead.

    Args:
        system: Where the agents live.
        request: The request, with its `traceparent` and `tracestate`.
    """
    if system.observers.outer_trace is None or "traceparent" not in request.headers:
        yield
        return
    try:
        from opentelemetry import context as contexts
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError:  # the observer is another one
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
