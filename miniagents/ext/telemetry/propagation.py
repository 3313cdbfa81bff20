"""The propagation of the trace context: OpenTelemetry's contexts inside agents, W3C traceparents in envelopes."""

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from miniagents.promising.scope import current_scope

_w3c = TraceContextTextMapPropagator()


def traceparent(context: Context) -> str | None:
    """Return the W3C traceparent of the span of a context, or None.

    Example:
        >>> traceparent(Context()) is None
        True
    """
    carrier: dict[str, str] = {}
    _w3c.inject(carrier, context)
    return carrier.get("traceparent")


def with_parent(context: Context, sent: object) -> Context:
    """Return a context with the parent of the next span.

    Args:
        context: The context of the calling code. Its span, if it has one, is the parent.
        sent: Otherwise, the traceparent that a message carries, or None.
    """
    if isinstance(sent, str) and not trace.get_current_span(context).get_span_context().is_valid:
        return _w3c.extract({"traceparent": sent}, context)
    return context


def context_here() -> Context:
    """Return the context of the calling code; see `trace_context`."""
    scope = current_scope.get()
    node = scope.node if scope is not None else None
    return with_parent(contexts.get_current(), node.trace if node is not None else None)
