"""AG-UI: the events of a run, in the types of the protocol's official package."""

from ag_ui.core import (
    PROTOCOL_VERSION,
    BaseEvent,
    CustomEvent,
    ReasoningEndEvent,
    ReasoningMessageContentEvent,
    ReasoningMessageEndEvent,
    ReasoningMessageStartEvent,
    ReasoningStartEvent,
    RunErrorEvent,
    RunFinishedCancelledOutcome,
    RunFinishedEvent,
    RunFinishedSuccessOutcome,
    RunStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    TokenUsage,
    ToolCallArgsEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
)
from ag_ui.encoder import EventEncoder

from miniagents.ext.llms.messages import ToolCall, ToolResultMessage
from miniagents.ext.serving.front_ends.contents import data_fields, media_fields
from miniagents.ext.serving.front_ends.part_writer import Part, PartWriter
from miniagents.ext.serving.http.problems import Problem
from miniagents.messages import Message

_ENCODER = EventEncoder()


class AgUiWriter(PartWriter):
    """A writer of the events of AG-UI.

    A message that is no text is a `CUSTOM` event: its name is the class of the message, and its value has the fields.
    """

    def start(self) -> bytes:
        """Return `RUN_STARTED`."""
        started = RunStartedEvent(thread_id=self.asked.thread, run_id=self._run_id, protocol_version=PROTOCOL_VERSION)
        return _events(started)

    def begin(self, part: Part) -> bytes:
        """Return `TEXT_MESSAGE_START`, or `REASONING_START` and `REASONING_MESSAGE_START`."""
        if part.is_reasoning:
            return _events(
                ReasoningStartEvent(message_id=part.id),
                ReasoningMessageStartEvent(message_id=part.id, role="reasoning"),
            )
        return _events(TextMessageStartEvent(message_id=part.id, role="assistant"))

    def delta(self, part: Part, text: str) -> bytes:
        """Return `TEXT_MESSAGE_CONTENT` or `REASONING_MESSAGE_CONTENT`."""
        if part.is_reasoning:
            return _events(ReasoningMessageContentEvent(message_id=part.id, delta=text))
        return _events(TextMessageContentEvent(message_id=part.id, delta=text))

    def end(self, part: Part) -> bytes:
        """Return `TEXT_MESSAGE_END`, or `REASONING_MESSAGE_END` and `REASONING_END`."""
        if part.is_reasoning:
            return _events(ReasoningMessageEndEvent(message_id=part.id), ReasoningEndEvent(message_id=part.id))
        return _events(TextMessageEndEvent(message_id=part.id))

    def whole(self, message: Message) -> bytes:
        """Return `CUSTOM`."""
        value = media_fields(message) or data_fields(message)
        return _events(CustomEvent(name=type(message).__name__, value=value))

    def call(self, call: ToolCall, parent: str) -> bytes:
        """Return `TOOL_CALL_START`, `TOOL_CALL_ARGS` and `TOOL_CALL_END`."""
        return _events(
            ToolCallStartEvent(tool_call_id=call.id, tool_call_name=call.name, parent_message_id=parent),
            ToolCallArgsEvent(tool_call_id=call.id, delta=call.arguments),
            ToolCallEndEvent(tool_call_id=call.id),
        )

    def result(self, call: ToolCall, result: ToolResultMessage) -> bytes:
        """Return `TOOL_CALL_RESULT`."""
        return _events(ToolCallResultEvent(message_id=self.new_id(), tool_call_id=call.id, content=result.content))

    def pending(self, call: ToolCall) -> bytes:
        """Return nothing: `RUN_FINISHED` names the calls that are left to the client."""
        return b""

    def finish(self, calls: tuple[ToolCall, ...], last: Message | None) -> bytes:
        """Return `RUN_FINISHED`."""
        ids = [call.id for call in calls]
        return self._finished(RunFinishedSuccessOutcome(pending_tool_call_ids=ids or None))

    def error(self, problem: Problem) -> bytes:
        """Return `RUN_ERROR`."""
        return _events(RunErrorEvent(message=problem.message, code=problem.code, usage=self._usage()))

    def cancelled(self, problem: Problem) -> bytes:
        """Return `RUN_FINISHED` with the outcome that the run was cancelled."""
        return self._finished(RunFinishedCancelledOutcome())

    def _finished(self, outcome: RunFinishedSuccessOutcome | RunFinishedCancelledOutcome) -> bytes:
        return _events(
            RunFinishedEvent(thread_id=self.asked.thread, run_id=self._run_id, outcome=outcome, usage=self._usage())
        )

    @property
    def _run_id(self) -> str:
        return self.asked.id or self.run.id

    def _usage(self) -> list[TokenUsage] | None:
        meter = self.run.meter
        if not meter.input_tokens and not meter.output_tokens:
            return None
        usage = TokenUsage(
            input_tokens=meter.input_tokens,
            output_tokens=meter.output_tokens,
            total_tokens=meter.input_tokens + meter.output_tokens,
            cached_input_tokens=meter.cached_tokens,
        )
        return [usage]


def _events(*events: BaseEvent) -> bytes:
    return "".join(map(_ENCODER.encode, events)).encode()
