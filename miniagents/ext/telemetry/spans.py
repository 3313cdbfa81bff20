"""`Operation`: a span whose duration also goes into a histogram."""

import asyncio
from collections.abc import Callable
from contextvars import Token

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from miniagents.errors import PromiseCancelledError

Attributes = dict[str, AttributeValue]

CANCELLED = "cancelled"
"""The `error.type` of all cancellations."""


def error_type(error: BaseException) -> str:
    """Return the `error.type` of an exception: the name of its class, or "cancelled". The text is never used.

    Example:
        >>> error_type(LookupError("secret")), error_type(asyncio.CancelledError())
        ('LookupError', 'cancelled')
    """
    if isinstance(error, (asyncio.CancelledError, PromiseCancelledError, GeneratorExit)):
        return CANCELLED
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class Operation:
    """An open span whose duration also goes into a histogram.

    Args:
        tracer: The tracer that starts the span.
        clock: Returns the time, in nanoseconds since the epoch.
        name: The name of the span.
        kind: The kind of the span.
        attributes: The first attributes of the span.
        histogram: The histogram for the duration in seconds.
        labels: The names of the attributes that the histogram has as well.
        parent: The context with the parent of the span; None for the current one.
        captures: Whether content may be recorded, the texts of errors included.

    Attributes:
        context: The context in which the span is the current one.
        span: The span.
        captures: Whether content is recorded: only if that is allowed and the span is sampled.
    """

    __slots__ = ("_clock", "_histogram", "_labels", "_started", "_token", "captures", "context", "span")

    def __init__(
        self,
        tracer: Tracer,
        clock: Callable[[], int],
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        histogram: Histogram,
        labels: tuple[str, ...],
        *,
        parent: Context | None = None,
        captures: bool = False,
    ) -> None:
        self._clock = clock
        self._histogram = histogram
        self._labels: Attributes = {name: attributes[name] for name in labels if name in attributes}
        self._token: Token[Context] | None = None
        self._started = clock()
        self.span = tracer.start_span(name, parent, kind, attributes, start_time=self._started)
        self.captures = captures and self.span.is_recording()
        self.context = trace.set_span_in_context(self.span, parent)

    @property
    def labels(self) -> Attributes:
        """The attributes that the histogram has."""
        return self._labels

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return (self._clock() - self._started) / 1e9

    def make_current(self) -> None:
        """Make the span the current one of the calling task, until `end` is called in that task."""
        self._token = contexts.attach(self.context)

    def end(
        self, error: BaseException | None, more: Attributes | None = None, labels: Attributes | None = None
    ) -> None:
        """End the span, and record its duration.

        Args:
            error: The exception that ended the operation, or None.
            more: More attributes of the span.
            labels: More attributes of the histogram.
        """
        ended = self._clock()
        if self._token is not None:
            contexts.detach(self._token)
        counted = {**self._labels, **(labels or {})}
        span = self.span
        if more:
            span.set_attributes(more)
        if error is not None:
            kind = counted["error.type"] = error_type(error)
            span.set_attribute("error.type", kind)
            span.set_status(Status(StatusCode.ERROR, str(error) if self.captures else None))
            if self.captures and kind != CANCELLED:
                span.record_exception(error)
        span.end(end_time=ended)
        self._histogram.record((ended - self._started) / 1e9, counted, context=self.context)
