"""`Telemetry`: the observer that records spans and metrics with OpenTelemetry."""

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.metrics import Histogram, MeterProvider
from opentelemetry.trace import SpanKind, TracerProvider

from miniagents.actors import ActorSystem, Observer
from miniagents.actors.cells.cell import Cell
from miniagents.actors.observing.caller import current_caller
from miniagents.actors.observing.request_id import current_request_id
from miniagents.agents import Interaction, MiniAgent
from miniagents.ext.llms.messages import ToolCall
from miniagents.ext.llms.provider import Answer, ModelRequest, Provider
from miniagents.ext.llms.tools import Tool
from miniagents.ext.telemetry import content
from miniagents.ext.telemetry.metrics import instruments_of
from miniagents.ext.telemetry.propagation import traceparent, with_parent
from miniagents.ext.telemetry.requests import LABELS, of_answer, of_request, operation_of
from miniagents.ext.telemetry.spans import Attributes, Operation

_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class Telemetry(Observer):
    """An observer that records spans and metrics, by the semantic conventions for GenAI; see `instrument`.

    `MiniAgents(observers=[Telemetry()])` records from the start of the system on.

    Args:
        system: The system, which may be active already; None for the one that has this in its `observers=`.
        tracer_provider: Where spans go; None for the global one.
        meter_provider: Where metrics go; None for the global one.
        capture_content: Whether what is said is recorded; None for what the environment says.
        clock: The time, in nanoseconds since the epoch.

    Raises:
        RuntimeError: The system is instrumented already.

    Example:
        >>> from miniagents import MiniAgents
        >>> telemetry = Telemetry()
        >>> telemetry in MiniAgents(observers=[telemetry]).observers
        True
    """

    def __init__(
        self,
        system: ActorSystem | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        capture_content: bool | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        version: str = sys.modules["miniagents"].__version__  # that of the code, also where nothing was installed
        self._system = system
        self._tracer = trace.get_tracer("miniagents", version, tracer_provider)
        self.instruments = instruments_of(meter_provider, version)
        self._captures = _captures_by_environment() if capture_content is None else capture_content
        self._clock = clock
        self._open: dict[int, Operation] = {}
        if system is not None:
            self._check_alone(system)
            self.instruments.add(system)
            system.observers.attach(self)

    def system_started(self, system: ActorSystem) -> None:
        """Record what the system counts, too."""
        self._check_alone(system)
        self._system = system
        self.instruments.add(system)

    def _check_alone(self, system: ActorSystem) -> None:
        # The spans of two of them would be each other's parents.
        if any(isinstance(observer, Telemetry) and observer is not self for observer in system.observers):
            raise RuntimeError(f"system {system.name!r} is instrumented already: uninstrument() it first")

    def uninstrument(self) -> None:
        """Stop recording. Open spans end now. Further calls change nothing."""
        if self._system is None or self not in self._system.observers:
            return
        self._system.observers.detach(self)
        self.instruments.remove(self._system)
        while self._open:
            self._open.popitem()[1].end(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.uninstrument()

    def operation(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        histogram: Histogram,
        labels: tuple[str, ...],
        parent: contexts.Context | None = None,
    ) -> Operation:
        """Start a span; see `Operation`."""
        return Operation(
            self._tracer,
            self._clock,
            name,
            kind,
            attributes,
            histogram,
            labels,
            parent=parent,
            captures=self._captures,
        )

    # Hooks

    def outer_trace(self) -> str | None:
        """Return the traceparent of the code outside of all actors that sends a message."""
        return traceparent(contexts.get_current())

    def actor_ended(self, cell: Cell) -> None:
        """Keep the counts of the actor."""
        self.instruments.actor_ended(cell)

    def interaction_started(self, interaction: Interaction) -> None:
        """Open the span of a call, and make it the current one of the agent's code."""
        agent, context = interaction.agent, interaction.turn_context()
        attributes: Attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": "miniagents",
            "gen_ai.agent.name": agent.alias,
            "miniagents.actor.path": interaction.path,
            "miniagents.interaction.id": interaction.id,
        }
        if agent.description:
            attributes["gen_ai.agent.description"] = agent.description
        caller = context.get(current_caller)
        if caller is not None:
            attributes["enduser.id"] = caller.name
        request_id = context.get(current_request_id)
        if request_id is not None:
            attributes["miniagents.request.id"] = request_id
        operation = self._open[interaction.id] = self.operation(
            f"invoke_agent {agent.alias}",
            SpanKind.INTERNAL,
            attributes,
            self.instruments.agent_seconds,
            ("gen_ai.agent.name",),
            parent=with_parent(context.run(contexts.get_current), interaction.trace),
        )
        context.run(contexts.attach, operation.context)
        interaction.trace = traceparent(operation.context) or interaction.trace

    def interaction_ended(self, interaction: Interaction) -> None:
        """End the span of a call: now if its code failed, otherwise when all replies have arrived."""
        if interaction.error is not None:
            self._end(interaction, interaction.error)
        else:
            interaction.replies.add_done_callback(lambda _: self._replies_ended(interaction))

    def _replies_ended(self, interaction: Interaction) -> None:
        try:
            self._end(interaction, interaction.replies.settled_error)
        except Exception as error:
            interaction.system.observers.failed(self.interaction_ended, error)

    def _end(self, interaction: Interaction, error: BaseException | None) -> None:
        operation = self._open.pop(interaction.id, None)
        if operation is None:
            return
        details: Attributes = {}
        if operation.captures:
            sent, replies = interaction.message_promises, interaction.replies
            if sent.done() and sent.settled_error is None:
                details["gen_ai.input.messages"] = content.input_messages(sent.result())
            if replies.done() and replies.settled_error is None:
                details["gen_ai.output.messages"] = content.output_messages(replies.result())
        operation.end(error, details)

    def model_called(self, interaction: Interaction, provider: Provider, request: ModelRequest) -> "_ModelCall":
        """Open the span of a model request."""
        return _ModelCall(self, provider, request)

    def tool_called(self, interaction: Interaction, tool: Tool, call: ToolCall) -> "_ToolCall":
        """Open the span of a tool call."""
        return _ToolCall(self, interaction.agent, tool, call)


class _ModelCall:
    """The span of one model request."""

    def __init__(self, telemetry: Telemetry, provider: Provider, request: ModelRequest) -> None:
        self._telemetry = telemetry
        self._streams = request.stream
        self._first: float | None = None
        attributes = of_request(provider, request)
        self._operation = telemetry.operation(
            f"{operation_of(provider)} {request.model}",
            SpanKind.CLIENT,
            attributes,
            telemetry.instruments.model_seconds,
            LABELS,
        )
        self._operation.make_current()
        if self._operation.captures:
            self._operation.span.set_attribute("gen_ai.input.messages", content.input_messages(request.messages))

    def piece(self, piece: object) -> None:
        """Note the time of the first piece."""
        if self._first is None:
            self._first = self._operation.seconds()

    def ended(self, answer: Answer, error: BaseException | None) -> None:
        """End the span, with the usage of the request."""
        operation, instruments = self._operation, self._telemetry.instruments
        details = of_answer(answer)
        labels: Attributes = {"gen_ai.response.model": answer.model} if answer.model is not None else {}
        counted = {**operation.labels, **labels}
        if self._streams and self._first is not None:
            details["gen_ai.response.time_to_first_chunk"] = self._first
            instruments.first_seconds.record(self._first, counted, context=operation.context)
        if "gen_ai.usage.input_tokens" in details and answer.usage is not None:
            for kind, number in (("input", answer.usage.input_tokens), ("output", answer.usage.output_tokens)):
                instruments.tokens.record(number, {**counted, "gen_ai.token.type": kind}, context=operation.context)
        if operation.captures:
            details["gen_ai.output.messages"] = content.answered(answer)
        operation.end(error, details, labels)


class _ToolCall:
    """The span of one tool call."""

    def __init__(self, telemetry: Telemetry, agent: MiniAgent, tool: Tool, call: ToolCall) -> None:
        self._result: list[str] = []
        attributes: Attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool.spec.name,
            "gen_ai.tool.call.id": call.id,
            "gen_ai.tool.type": "function",
            "gen_ai.agent.name": agent.alias,
        }
        if tool.spec.description:
            attributes["gen_ai.tool.description"] = tool.spec.description
        self._operation = telemetry.operation(
            f"execute_tool {tool.spec.name}",
            SpanKind.INTERNAL,
            attributes,
            telemetry.instruments.tool_seconds,
            ("gen_ai.tool.name", "gen_ai.tool.type", "gen_ai.agent.name"),
        )
        self._operation.make_current()
        if self._operation.captures:
            self._operation.span.set_attribute("gen_ai.tool.call.arguments", call.arguments)

    def piece(self, piece: object) -> None:
        """Keep a piece of the result, if content is recorded."""
        if self._operation.captures:
            self._result.append(str(piece))

    def ended(self, answer: object, error: BaseException | None) -> None:
        """End the span."""
        self._operation.end(error, {"gen_ai.tool.call.result": "".join(self._result)} if self._result else None)


def _captures_by_environment() -> bool:
    return os.environ.get(_CAPTURE, "").strip().lower() in ("true", "span_only", "span_and_event")
