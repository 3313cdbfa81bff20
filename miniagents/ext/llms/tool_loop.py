"""`ToolLoop`: a call of an LLM agent, with one request to the model after the other until it calls no more tools."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from miniagents.agents import InteractionContext, MiniAgent
from miniagents.errors import (
    ContextOverflowError,
    EmptyConversationError,
    IncompleteResponseError,
    LLMError,
    MaxTurnsError,
    OutputError,
    ProviderError,
)
from miniagents.ext.llms import requesting
from miniagents.ext.llms.approvals import Approve
from miniagents.ext.llms.attempting import Terms
from miniagents.ext.llms.compact import Compact
from miniagents.ext.llms.compaction import Compaction, compaction_of
from miniagents.ext.llms.conversation import Conversation
from miniagents.ext.llms.endings import PAUSED, Ending, ending_of, lets_calls_run
from miniagents.ext.llms.history_repair import is_blank
from miniagents.ext.llms.messages import ReplyMessage, ToolCall, ToolResultMessage
from miniagents.ext.llms.provider import ModelRequest, Provider
from miniagents.ext.llms.replies import ModelReplyPromise
from miniagents.ext.llms.schemas import OutputType
from miniagents.ext.llms.tool_calls import call_tools
from miniagents.ext.llms.tool_sources import names_of
from miniagents.ext.llms.tools import Tool
from miniagents.log import log as _log
from miniagents.messages import AssistantMessage, Message, MessagePromise, SystemMessage, UserMessage
from miniagents.messages.message import freeze_known
from miniagents.messages.standard import error_text


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a call of an LLM agent.

    Attributes:
        model: The provider's name of the model.
        system: A system prompt that is sent before all others, or None.
        stream: Whether the answer streams token by token.
        options: The parameters of the API call.
        terms: Limits, budgets and retry policy of each request.
        tools: The tools, by name.
        approve: The function or agent that decides about tool calls, "wait" for somebody outside, or None.
        approve_timeout: Seconds to wait for somebody outside, or None for no limit.
        tool_timeout: Seconds that a tool call may take, or None for no limit.
        max_turns: The most requests, 1 or more.
        output: The type of structured output, or None.
        repairs: The most times that an output which does not fit is sent back to the model.
        metadata: More metadata for the replies.
        logger: The agent that logs prompts and replies, or None.
        compact: How the conversation stays below the window of the model, or None.
    """

    model: str
    system: str | None
    stream: bool
    options: Mapping[str, Any]
    terms: Terms
    tools: Mapping[str, Tool]
    approve: Approve | None
    approve_timeout: float | None
    tool_timeout: float | None
    max_turns: int
    output: OutputType | None
    repairs: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    logger: MiniAgent | None = None
    compact: Compact | None = None


class ToolLoop:
    """One call of an LLM agent.

    Args:
        ctx: The context of the call.
        provider: The API of the model.
        settings: The settings of the agent.
    """

    # Thousands of them wait at once for models and tools (test_costs).
    __slots__ = (
        "_compaction",
        "_conversation",
        "_ctx",
        "_is_paused",
        "_known",
        "_metadata",
        "_provider",
        "_repairs",
        "_reply",
        "_settings",
        "_tools",
        "_was_called",
    )

    _conversation: Conversation

    def __init__(self, ctx: InteractionContext, provider: Provider, settings: Settings) -> None:
        self._ctx = ctx
        self._provider = provider
        self._settings = settings
        self._repairs = 0
        self._was_called = self._is_paused = False
        self._reply: ModelReplyPromise | None = None
        self._compaction: Compaction | None = None
        self._tools = tuple(tool.spec for tool in settings.tools.values())
        self._metadata = {"agent_alias": ctx.this_agent.alias, **settings.metadata}
        if settings.output is not None:
            self._metadata["output_type"] = settings.output.name
        self._known = freeze_known({"role": "assistant", "model": settings.model, **self._metadata})

    async def run(self) -> None:
        """Send requests and run the tools that the model calls, until it replies without calling any.

        Raises:
            LLMError: A request failed, or the model still calls tools after `max_turns` requests.
        """
        settings = self._settings
        received = await self._ctx.message_promises
        messages = [SystemMessage(settings.system), *received] if settings.system else received
        self._conversation = conversation = Conversation(messages)
        for repair in conversation.repairs:
            _log.warning("llm.history_repaired", **self._ctx.interaction.log_fields, repair=repair)
        if is_blank(conversation.messages):
            raise EmptyConversationError(
                f"{self._ctx.interaction.path}: there is nothing to send: no message has a text, and there is no "
                f"system prompt: call the agent with messages, or give it system=",
                path=self._ctx.interaction.path,
            )
        if settings.compact is not None:
            self._compaction = await compaction_of(
                settings.compact,
                settings.model,
                self._provider,
                settings.terms,
                self._ctx.interaction,
                conversation,
            )
        for _ in range(settings.max_turns):
            message = await self._reply_that_fits()
            if self._is_paused and not message.tool_calls:
                conversation.add(message)  # the provider goes on where it has stopped
                continue
            if not (message.tool_calls and settings.tools):
                return
            if not lets_calls_run(message.stop_reason):
                self._refuse(message)
                return
            own = message.tool_calls
            if "tools" in settings.options:
                own = tuple(call for call in own if not self._is_left_to_caller(call))
            if len(own) < len(message.tool_calls):
                for result in self._run_tools(own):
                    await result
                return
            conversation.add_turn(message, [await result for result in self._run_tools(own)])
        raise MaxTurnsError(
            f"{self._ctx.interaction.path}: the model still calls tools after {settings.max_turns} turns: raise "
            f"max_turns=, or look at what the tools answer",
            path=self._ctx.interaction.path,
        )

    def _is_left_to_caller(self, call: ToolCall) -> bool:
        """Return whether the model calls a tool that was given in the provider's words: its caller has to run it."""
        if call.name in self._settings.tools:
            return False
        return call.name in names_of(self._settings.options["tools"] or ())

    def _run_tools(self, calls: tuple[ToolCall, ...]) -> tuple[MessagePromise, ...]:
        """Run tool calls, and reply with their results."""
        results = call_tools(
            calls,
            self._settings.tools,
            self._ctx,
            approve=self._settings.approve,
            approve_timeout=self._settings.approve_timeout,
            timeout=self._settings.tool_timeout,
        )
        for result in results:
            self._ctx.reply(result)
        self._was_called = True
        return tuple(results)

    def _refuse(self, message: ReplyMessage) -> None:
        """Run no call of an answer that was cut off: its arguments may be incomplete."""
        reason = message.stop_reason
        _log.warning(
            "llm.tool_calls_cut",
            **self._ctx.interaction.log_fields,
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

    async def _reply_that_fits(self) -> ReplyMessage:
        """Send a request, and send it again with the problem until the reply fits `output=`."""
        settings = self._settings
        while True:
            reply = self._reply if self._reply is not None else self._begin_reply()
            request = self._request()
            if self._compaction is not None and await self._compaction.shortened(request):
                request = self._request()
            if settings.logger is not None:
                self._log(settings.logger, request, reply)
            try:
                answer = await requesting.ask(self._provider, request, reply, settings.terms, self._ctx.interaction)
            except BaseException as error:
                if isinstance(error, ContextOverflowError) and await self._is_shorter(request, reply):
                    continue
                self._failed(reply, error)
                raise
            self._is_paused = answer.stop_reason == PAUSED
            message = answer.message(**self._metadata)
            if self._compaction is not None:
                self._compaction.learn(request, message.usage)
            problem = self._problem(message)
            if problem is None:
                break
            if self._repairs >= settings.repairs or isinstance(problem, _FinalOutputError):
                failure = OutputError(*problem.args, **vars(problem))
                self._failed(reply, failure)
                raise failure
            self._repairs += 1
            _log.warning(
                "llm.output_repaired",
                **self._ctx.interaction.log_fields,
                error=str(problem),
                no=self._repairs,
            )
            self._conversation.add(
                AssistantMessage(message.content),
                UserMessage(f"{problem}\nAnswer again, with nothing but JSON that fits the schema."),
            )
            if reply.was_delivered:
                reply.end(message)  # a reader has its tokens: it stays, and the next reply follows it
                self._reply = None
            else:
                reply.retract()
        reply.end(message)
        self._reply = None
        return message

    async def _is_shorter(self, request: ModelRequest, reply: ModelReplyPromise) -> bool:
        """Shorten the conversation that the provider has refused, and return whether it may be sent again."""
        if self._compaction is None or reply.was_delivered:
            return False
        return await self._compaction.shortened_after_overflow(request)

    def _begin_reply(self) -> ModelReplyPromise:
        self._reply = reply = ModelReplyPromise(self._ctx.interaction, self._known)
        self._ctx.reply(reply)
        return reply

    def _request(self) -> ModelRequest:
        settings = self._settings
        return ModelRequest(
            model=settings.model,
            messages=self._conversation.messages,
            stream=settings.stream,
            options=self._options(),
            tools=self._tools,
            output=settings.output,
        )

    def _options(self) -> Mapping[str, Any]:
        """Return the parameters of the API call. A `tool_choice` that demands a call holds for the first turn alone,
        since the model would never reply otherwise."""
        options = self._settings.options
        choice = options.get("tool_choice")
        if not self._was_called or choice is None or choice in ("auto", "none"):
            return options
        return {name: value for name, value in options.items() if name != "tool_choice"}

    def _failed(self, reply: ModelReplyPromise, error: BaseException) -> None:
        """End the reply and the call with an error; the readers of the replies get it once, in its place."""
        interaction = self._ctx.interaction
        if isinstance(error, ProviderError) and reply.was_delivered and not isinstance(error, IncompleteResponseError):
            error.add_note(f"{interaction.path}: tokens were delivered already, so that the request is not repeated")
        if isinstance(error, LLMError) and not error.path:
            error.path = interaction.path
        explained = interaction.explain(error)
        interaction.mark(explained)
        reply.break_off(explained)
        self._ctx.close_replies()

    def _problem(self, message: ReplyMessage) -> OutputError | None:
        """Return what is wrong with the structured output, or None."""
        output = self._settings.output
        if output is None or (message.tool_calls and lets_calls_run(message.stop_reason)):
            return None
        if message.stop_reason == PAUSED:
            return None
        ending = ending_of(message.stop_reason)
        facts = {"text": message.content, "stop_reason": message.stop_reason}
        where = f"{self._ctx.interaction.path}: no {output.name}"
        if message.refusal is not None or ending is Ending.REFUSED:
            refusal = message.refusal or message.content
            return _FinalOutputError(f"{where}: the model refused ({message.stop_reason}): {refusal}", **facts)
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
    """Return the reply for a log: a message that arrives whole, since reading its tokens would deliver them."""

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
    """An output problem that another request would not solve."""
