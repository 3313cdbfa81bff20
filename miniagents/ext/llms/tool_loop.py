"""A call of an LLM agent: the conversation goes to the model, and what it replies, with its tools, comes back."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from miniagents.agents import InteractionContext, MiniAgent
from miniagents.errors import (
    IncompleteResponseError,
    InvalidRequestError,
    LLMError,
    MaxTurnsError,
    OutputError,
    ProviderError,
)
from miniagents.ext.llms import requesting
from miniagents.ext.llms.attempting import Terms
from miniagents.ext.llms.endings import Ending, ending_of, lets_calls_run
from miniagents.ext.llms.history_repair import is_blank, well_formed
from miniagents.ext.llms.messages import ReplyMessage, ToolResultMessage
from miniagents.ext.llms.provider import ModelRequest, Provider
from miniagents.ext.llms.replies import ModelReplyPromise
from miniagents.ext.llms.schemas import OutputType
from miniagents.ext.llms.sound import sound_message
from miniagents.ext.llms.tool_calls import Approve, call_tools
from miniagents.ext.llms.tools import Tool
from miniagents.messages import AssistantMessage, Message, MessagePromise, SystemMessage, UserMessage
from miniagents.messages.standard import error_text

_log = structlog.get_logger("miniagents")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an LLM agent was told.

    Attributes:
        model: The model.
        system: A system prompt before all others, or None.
        stream: Whether the answer comes token by token.
        options: What goes to the API call.
        terms: Limits, budgets and attempts.
        tools: The tools, by name.
        approve: Is asked before a call, or None.
        tool_timeout: Seconds that a call of a tool may take, or None.
        max_turns: Requests in one conversation, 1 or more.
        output: The type of structured output, or None.
        repairs: How often an output that does not fit is sent back.
        metadata: More metadata of the replies.
        logger: What logs prompts and replies, or None.
    """

    model: str
    system: str | None
    stream: bool
    options: Mapping[str, Any]
    terms: Terms
    tools: Mapping[str, Tool]
    approve: Approve | None
    tool_timeout: float | None
    max_turns: int
    output: OutputType | None
    repairs: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    logger: MiniAgent | None = None


class Conversation:
    """One call of an LLM agent.

    Args:
        ctx: Its context.
        provider: Whom to ask.
        settings: What the agent was told.
    """

    def __init__(self, ctx: InteractionContext, provider: Provider, settings: Settings) -> None:
        self._ctx = ctx
        self._provider = provider
        self._settings = settings
        self._messages: list[Message] = []
        self._repairs = 0
        self._was_called = False
        self._reply: ModelReplyPromise | None = None

    async def run(self) -> None:
        """Ask, call tools, and ask again, until the model has answered.

        Raises:
            LLMError: It has not.
        """
        settings = self._settings
        given = await self._ctx.message_promises
        messages = [SystemMessage(settings.system), *given] if settings.system else given
        repaired, repairs = well_formed(messages)
        for repair in repairs:
            _log.warning("llm.history_repaired", actor=self._ctx.interaction.path, repair=repair)
        if is_blank(repaired):
            raise InvalidRequestError(
                f"{self._ctx.interaction.path}: there is nothing to send: no message has a text, and there is no "
                f"system prompt: call the agent with messages, or give it system=",
                path=self._ctx.interaction.path,
            )
        self._messages = list(repaired)
        for _ in range(settings.max_turns):
            if await self._turn():
                return
        raise MaxTurnsError(
            f"{self._ctx.interaction.path}: the model still calls tools after {settings.max_turns} turns: raise "
            f"max_turns=, or look at what the tools answer",
            path=self._ctx.interaction.path,
        )

    async def _turn(self) -> bool:
        """One request. Returns whether the conversation is over."""
        message = await self._asked()
        if message.tool_calls and self._settings.tools:
            if not lets_calls_run(message.stop_reason):
                self._refuse(message)
                return True
            results = call_tools(
                message.tool_calls,
                dict(self._settings.tools),
                self._ctx,
                approve=self._settings.approve,
                timeout=self._settings.tool_timeout,
            )
            for result in results:
                self._ctx.reply(result)
            self._messages.append(message)
            self._was_called = True
            for result in results:
                self._messages.append(await result)
            return False
        return True

    def _refuse(self, message: ReplyMessage) -> None:
        """Make no call of an answer that was cut: what is there of a call may be half of it."""
        reason = message.stop_reason
        _log.warning(
            "llm.tool_calls_cut",
            actor=self._ctx.interaction.path,
            stop_reason=reason,
            tools=[call.name for call in message.tool_calls],
        )
        for call in message.tool_calls:
            self._ctx.reply(
                ToolResultMessage(
                    f"not run: the answer was cut off ({reason}), so that the call may not be whole",
                    call_id=call.id,
                    name=call.name,
                    is_error=True,
                )
            )

    async def _asked(self) -> ReplyMessage:
        """Ask, until the answer fits `output=`."""
        settings = self._settings
        while True:
            message, reply = await self._asked_once()
            problem = self._problem(message)
            if problem is None:
                break
            if self._repairs >= settings.repairs or isinstance(problem, _FinalOutputError):
                self._fail(reply, OutputError(*problem.args, **vars(problem)))
            self._repairs += 1
            _log.warning(
                "llm.output_repaired",
                actor=self._ctx.interaction.path,
                error=str(problem),
                no=self._repairs,
            )
            self._messages += [
                AssistantMessage(message.content),
                UserMessage(f"{problem}\nAnswer again, with nothing but JSON that fits the schema."),
            ]
            if reply.was_delivered:
                reply.end(message)  # somebody has seen it: it stays, and the next one follows it
                self._reply = None
            else:
                reply.retract()
        reply.end(message)
        self._reply = None
        return message

    async def _asked_once(self) -> tuple[ReplyMessage, ModelReplyPromise]:
        settings, ctx = self._settings, self._ctx
        alias = ctx.this_agent.alias
        output = {} if settings.output is None else {"output_type": settings.output.name}
        known = {"model": settings.model, "agent_alias": alias, **settings.metadata, **output}
        if self._reply is None:
            self._reply = ModelReplyPromise(ctx.interaction, role="assistant", **known)
            ctx.reply(self._reply)
        reply = self._reply
        request = ModelRequest(
            model=settings.model,
            messages=well_formed(tuple(map(sound_message, self._messages)))[0],
            stream=settings.stream,
            options=self._options(),
            tools=tuple(tool.spec for tool in settings.tools.values()),
            output=settings.output,
        )
        if settings.logger is not None:
            self._log(settings.logger, request, reply)
        try:
            answer = await requesting.ask(self._provider, request, reply, settings.terms, ctx.interaction)
        except BaseException as error:
            self._fail(reply, error)
        return answer.message(**settings.metadata, agent_alias=alias, **output), reply

    def _options(self) -> Mapping[str, Any]:
        """What goes to the API call. A `tool_choice` that demands a call holds for the first turn, or it would demand
        calls for ever."""
        options = self._settings.options
        choice = options.get("tool_choice")
        if not self._was_called or choice is None or choice in ("auto", "none"):
            return options
        return {name: value for name, value in options.items() if name != "tool_choice"}

    def _fail(self, reply: ModelReplyPromise, error: BaseException) -> Any:
        """The reply ends with an error, and so does the call; it is told once, at its place."""
        interaction = self._ctx.interaction
        if isinstance(error, ProviderError) and reply.was_delivered and not isinstance(error, IncompleteResponseError):
            error.add_note(f"{interaction.path}: tokens were delivered already, so that the request is not repeated")
        if isinstance(error, LLMError) and not error.path:
            error.path = interaction.path
        explained = interaction.explain(error)
        interaction.mark(explained)
        reply.break_off(explained)
        self._ctx.close_replies()
        raise error

    def _problem(self, message: ReplyMessage) -> OutputError | None:
        """What is wrong with the structured output, or None."""
        output = self._settings.output
        if output is None or (message.tool_calls and lets_calls_run(message.stop_reason)):
            return None
        ending = ending_of(message.stop_reason)
        facts = {"text": message.content, "stop_reason": message.stop_reason}
        where = f"{self._ctx.interaction.path}: no {output.name}"
        if message.refusal is not None or ending is Ending.REFUSED:
            said = message.refusal or message.content
            return _FinalOutputError(f"{where}: the model refused ({message.stop_reason}): {said}", **facts)
        if ending is Ending.TRUNCATED:
            return _FinalOutputError(
                f"{where}: the answer was cut off ({message.stop_reason}): raise max_tokens", **facts
            )
        try:
            output.decode(message.content)
        except OutputError as error:
            error.stop_reason = message.stop_reason
            return error
        return None

    def _log(self, logger: MiniAgent, request: ModelRequest, reply: ModelReplyPromise) -> None:
        logger.inquire(
            [[_with_role(message) for message in request.messages], _whole(reply)],
            errors_as_messages=True,
            request_metadata={
                "agent_alias": self._ctx.this_agent.alias,
                "model": request.model,
                "stream": request.stream,
                **request.options,
            },
        )


def _with_role(message: Message) -> Message:
    return message if getattr(message, "role", None) else UserMessage(str(message))


def _whole(reply: ModelReplyPromise) -> MessagePromise:
    """The reply for a log: it comes when it is whole, so that a log delivers no token to anybody."""

    async def tokens(late: dict[str, Any]) -> AsyncIterator[str]:
        try:
            message = await reply
        except Exception as error:
            yield error_text(error)
        else:
            late.update(message.metadata)
            yield str(message)

    return ReplyMessage.promise(message_token_streamer=tokens, **reply.known_beforehand)


class _FinalOutputError(OutputError):
    """Asking again would not help."""
