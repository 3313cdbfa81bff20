"""`instrument`: turning OpenTelemetry on for a system. The library is imported by the call."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

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
    """Record spans of interactions, model calls and tool calls, and metrics, with OpenTelemetry.

    Nothing is configured globally. Without a provider nothing is recorded.

    Args:
        system: The system; it may be active already.
        tracer_provider: The provider that spans go to; None for the global one.
        meter_provider: The provider that metrics go to; None for the global one.
        capture_content: Whether prompts, replies, arguments of tools and texts of errors are recorded. None takes the
            value of the variable `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`; the default is False.

    Returns:
        The instrumentation. `uninstrument()` ends it, and so does leaving it as a context manager.

    Raises:
        MissingDependencyError: OpenTelemetry is not installed.
        RuntimeError: The system is instrumented already.

    Example:
        >>> from miniagents import MiniAgents
        >>> system = MiniAgents()
        >>> with instrument(system):
        ...     len(list(system.observers))
        1
    """
    return _module("telemetry").Telemetry(system, tracer_provider, meter_provider, capture_content)  # type: ignore[no-any-return]


def trace_context() -> "Context":
    """Return the OpenTelemetry context of the calling code: the current one, or, in an actor, that of its message.

    An actor needs the context for spans of its own: `tracer.start_as_current_span("look up", context=trace_context())`.

    Returns:
        The context. It may have no span.

    Raises:
        MissingDependencyError: OpenTelemetry is not installed.

    Example:
        >>> from opentelemetry.trace import get_current_span
        >>> get_current_span(trace_context()).is_recording()
        False
    """
    return _module("propagation").context_here()  # type: ignore[no-any-return]


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"miniagents.ext.telemetry.{name}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise MissingDependencyError(
            "this needs the package opentelemetry-api: pip install 'miniagents[telemetry]'", name="opentelemetry"
        ) from error
