"""What OpenTelemetry has seen: the SDK's own in-memory exporters."""

import asyncio
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from miniagents import ActorSystem
from miniagents.ext.telemetry.telemetry import Telemetry


class _Order(SpanProcessor):
    """Notes the order in which spans start: in virtual time, many do so at once."""

    def __init__(self) -> None:
        self.of: dict[int, int] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.of[span.get_span_context().span_id] = len(self.of)


class Seen:
    """Providers of traces and metrics that keep what they get."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._order = _Order()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(self._order)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = self.tracer_provider.get_tracer("the application")
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider(metric_readers=[self._reader])

    def instrument(self, system: ActorSystem, capture_content: bool | None = None) -> Telemetry:
        """Let it see a system, by the clock of the running loop."""
        return Telemetry(
            system,
            self.tracer_provider,
            self.meter_provider,
            capture_content,
            clock=lambda: round(asyncio.get_running_loop().time() * 1e9),
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in the order of their starts."""
        return sorted(self._spans.get_finished_spans(), key=lambda span: self._order.of[span.context.span_id])

    def span(self, name: str) -> ReadableSpan:
        """The only span of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def tree(self) -> dict[str, str | None]:
        """The name of each span's parent."""
        names = {span.context.span_id: span.name for span in self.spans if span.context is not None}
        return {span.name: names[span.parent.span_id] if span.parent is not None else None for span in self.spans}

    def points(self, metric: str) -> list[tuple[dict[str, Any], Any]]:
        """Attributes and value (of a histogram: count and sum) of a metric now."""
        found = []
        data = self._reader.get_metrics_data()
        for one in [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []:
            if one.name == metric:
                for point in one.data.data_points:
                    value = point.value if hasattr(point, "value") else (point.count, round(point.sum, 6))
                    found.append((dict(point.attributes or {}), value))
        return found


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
