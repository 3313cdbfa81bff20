"""The trace context on its way: contexts of OpenTelemetry inside agents, W3C traceparents in envelopes."""

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from miniagents.promising.scope import current_scope

_w3c = TraceContextTextMapPropagator()


def traceparent(context: Context) -> str | None:
    """The W3C traceparent of a context's span; None if it has none."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier, context)
    return carrier.get("traceparent")


def with_parent(context: Context, sent: object) -> Context:
    """A context whose span is the parent of what comes: its own, or else the one that a message came with."""
    if isinstance(sent, str) and not trace.get_current_span(context).get_span_context().is_valid:
        return _w3c.extract({"traceparent": sent}, context)
    return context


def context_here() -> Context:
    """The context of the code that calls this; see `trace_context`."""
    scope = current_scope.get()
    node = scope.node if scope is not None else None
    return with_parent(contexts.get_current(), node.trace if node is not None else None)
