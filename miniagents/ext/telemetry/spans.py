"""Operations: a span, and the same seconds in a histogram."""

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
"""The `error.type` of everything that was cancelled."""


def error_type(error: BaseException) -> str:
    """What an error is called in attributes: its class, or that it was a cancellation. Never its text."""
    if isinstance(error, (asyncio.CancelledError, PromiseCancelledError, GeneratorExit)):
        return CANCELLED
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class Operation:
    """A span that is under way.

    Args:
        tracer: Starts it.
        clock: The time, in nanoseconds since the epoch.
        name: The name of the span.
        kind: Its kind.
        attributes: Its first attributes.
        parent: The context with its parent; None for the current one.
        histogram: Where its seconds go.
        labels: Which of its attributes the histogram has.
        captures: Whether what is said may be recorded, the text of an error included.

    Attributes:
        context: The context in which the span is the current one.
        span: The span.
        captures: Whether what is said is recorded: it may be, and somebody keeps the span.
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
        """The attributes that metrics have."""
        return self._labels

    def seconds(self) -> float:
        """How long it has taken so far."""
        return (self._clock() - self._started) / 1e9

    def make_current(self) -> None:
        """Let it be the parent of what the calling task does, until it ends there."""
        self._token = contexts.attach(self.context)

    def end(
        self, error: BaseException | None, more: Attributes | None = None, labels: Attributes | None = None
    ) -> None:
        """It is over.

        Args:
            error: What it failed with, or None.
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
