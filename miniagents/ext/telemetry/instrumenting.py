"""Turning OpenTelemetry on for a system. The library is imported when that is asked for."""

import importlib
from typing import TYPE_CHECKING, Any

from miniagents.actors import ActorSystem
from miniagents.errors import MissingDependencyError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from miniagents.ext.telemetry.telemetry import Telemetry


def instrument(
    system: ActorSystem,
    *,
    tracer_provider: "TracerProvider | None" = None,
    meter_provider: "MeterProvider | None" = None,
    capture_content: bool | None = None,
) -> "Telemetry":
    """Let OpenTelemetry see a system: spans of interactions, model calls and tool calls, and metrics.

    It may be active already. Nothing is configured globally, and where no provider is, nothing is recorded.

    Args:
        system: The system.
        tracer_provider: Where spans go; None for the global one.
        meter_provider: Where metrics go; None for the global one.
        capture_content: Whether prompts, replies, arguments of tools and texts of errors are recorded; None for what
            `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says, which is no where it is not set.

    Returns:
        What sees it: `uninstrument()` ends that, and so does leaving it as a context manager.

    Raises:
        MissingDependencyError: OpenTelemetry is not installed.
        RuntimeError: The system is instrumented already.

    Example:
        ```
        async with MiniAgents() as system:
            instrument(system)
        ```
    """
    return _module("telemetry").Telemetry(system, tracer_provider, meter_provider, capture_content)  # type: ignore[no-any-return]


def trace_context() -> "Context":
    """The OpenTelemetry context of the code that calls this: the current one, or, in a lean actor, that of the message
    in hand. Spans of a lean actor's own need it: `tracer.start_as_current_span("look up", context=trace_context())`.

    Raises:
        MissingDependencyError: OpenTelemetry is not installed.
    """
    return _module("propagation").context_here()  # type: ignore[no-any-return]


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"miniagents.ext.telemetry.{name}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise MissingDependencyError(
            "this needs the package opentelemetry-api: pip install 'miniagents[otel]'", name="opentelemetry"
        ) from error
