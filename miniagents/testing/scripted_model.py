"""`ScriptedModel`: an LLM agent that answers from a script, without a network."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from miniagents.actors import SpawnOptions
from miniagents.errors import IncompleteResponseError, InvalidOptionError, MalformedResponseError
from miniagents.ext.llms.agents import ConnectionSettings, llm_agent
from miniagents.ext.llms.blocks import Origin
from miniagents.ext.llms.llm_agent import LLMAgent, Output
from miniagents.ext.llms.messages import OutputT_co, Usage, text_of
from miniagents.ext.llms.options import LLMOptions, OptionsBesideOutput
from miniagents.ext.llms.parts import tokens_of
from miniagents.ext.llms.provider import Answer, ModelRequest, Provider
from miniagents.ext.llms.providers import chat_parts
from miniagents.ext.llms.providers.checking import check_ending
from miniagents.ext.llms.providers.error_mapping import status_failure
from miniagents.messages import Message
from miniagents.testing.script import Fault, Reply, Script, pieces_of
from miniagents.testing.simulated import Simulation

_ids = itertools.count(1)


class _ScriptedProvider:
    name = "scripted"

    def __init__(self, script: Script, path: str) -> None:
        self._script = script
        self._path = path
        self.key = f"scripted {script.journal_key}"
        self._counted: tuple[Message, ...] = ()
        self._words = 0

    async def stream(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str | None, None]:
        """Answer with the next reply of the script; see `Provider`."""
        reply = self._disturbed(self._script.next(request))
        if reply.status != 200:
            error = {"type": reply.error_type, "message": reply.error}
            raise status_failure(self.name, reply.status, error, reply.headers, reply.error)
        answer.model = request.model
        sent = 0
        if reply.reasoning:
            answer.origin = Origin(chat_parts.API, self.name, request.model)
            answer.blocks = [{"type": chat_parts.REASONING, "reasoning_content": reply.reasoning}]
            answer.arrived += [token for part in answer.parts for token in tokens_of(part)]
            yield ""
        tokens, may_fail = reply.tokens, reply.fault is not None
        for token in tokens:
            if may_fail:
                await self._fault(reply, sent)
            await asyncio.sleep(reply.delay)
            yield token
            sent += 1
        answer.refusal = reply.refusal
        for index, call in enumerate(reply.calls):
            answer.call_piece(index, call.id or f"call_{next(_ids)}", call.name, "")
            for piece in pieces_of(call.json):
                if may_fail:
                    await self._fault(reply, sent)
                await asyncio.sleep(reply.delay)
                answer.call_piece(index, "", "", piece)
                yield ""
                sent += 1
        if may_fail:
            await self._fault(reply, sent, at_the_end=True)
        read = self._words_of(request.messages) if reply.input_tokens is None else reply.input_tokens
        if reply.reports_usage:
            answer.usage = Usage(read, sent, reply.cached_tokens)  # all that there is has been sent
        answer.stop_reason = reply.stop_reason or ("tool_calls" if reply.calls else "stop")
        check_ending(self.name, request, answer)

    def _words_of(self, messages: tuple[Message, ...]) -> int:
        """Count the words of a conversation; of one that goes on, only those that are new."""
        known = len(self._counted)
        if messages[:known] != self._counted:
            known = self._words = 0
        self._words += len(text_of(messages[known:]).split())
        self._counted = messages
        return self._words

    def _disturbed(self, reply: Reply) -> Reply:
        """Return the reply with the fault that a running simulation draws for it, if any."""
        simulation: Simulation | None = getattr(asyncio.get_running_loop(), "simulation", None)
        if simulation is None or reply.fault is not None or reply.status != 200:
            return reply
        drawn = simulation.fault_of(self._path, reply.output_tokens)
        if drawn is None:
            return reply
        fault, sent = drawn
        if isinstance(fault, Fault):
            return replace(reply, fault=fault, fault_at=sent)
        return replace(reply, status=fault)

    async def _fault(self, reply: Reply, sent: int, *, at_the_end: bool = False) -> None:
        if sent < reply.fault_at and not at_the_end:
            return
        if reply.fault is Fault.STALL:
            await asyncio.get_running_loop().create_future()
        if reply.fault is Fault.ERROR:
            raise status_failure(self.name, None, {"type": reply.error_type, "message": reply.error}, {}, reply.error)
        if reply.fault is Fault.MALFORMED:
            raise MalformedResponseError(f"{self.name}: the answer is not JSON")
        raise IncompleteResponseError(f"{self.name}: the answer broke off after {sent} tokens")


async def _connect(access: ConnectionSettings) -> Provider:
    script = access.options.pop("script", None)
    if not isinstance(script, Script):
        raise InvalidOptionError(f"{access.ctx.interaction.path}: give ScriptedModel.fork(script=Script('...', ...))")
    return _ScriptedProvider(script, access.ctx.interaction.path)


class _Options(LLMOptions, total=False):
    script: Script


class _OptionsBesideOutput(OptionsBesideOutput, total=False):
    script: Script


class ScriptedLLMAgent(LLMAgent[OutputT_co]):
    """The class of `ScriptedModel`: an LLM agent with one more option, `script=`."""

    __slots__ = ()

    more_options = frozenset({"script"})

    if TYPE_CHECKING:

        @overload  # type: ignore[override]  # it takes more options, and makes an agent of this class
        def fork(
            self,
            *,
            alias: str | None = None,
            description: str | None = None,
            options: SpawnOptions | None = None,
            non_freezable_kwargs: Mapping[str, Any] | None = None,
            kwargs: Mapping[str, Any] | None = None,
            output: type[Output],
            **arguments: Unpack[_OptionsBesideOutput],
        ) -> "ScriptedLLMAgent[Output]": ...

        @overload
        def fork(
            self,
            *,
            alias: str | None = None,
            description: str | None = None,
            options: SpawnOptions | None = None,
            non_freezable_kwargs: Mapping[str, Any] | None = None,
            kwargs: Mapping[str, Any] | None = None,
            **arguments: Unpack[_Options],
        ) -> Self: ...

        def fork(self, **arguments: Any) -> Any: ...


ScriptedModel: ScriptedLLMAgent = llm_agent.fork(
    alias="ScriptedModel", description="Answers from a script.", model="scripted", connect=_connect
).as_kind(ScriptedLLMAgent)
"""An LLM agent that answers from a script, without a network: `ScriptedModel.fork(script=Script("Hello!"))`.

The agent takes the options of all LLM agents (tools, structured output, retries, budgets), and works in virtual time.
`script.requests` lists its requests.

Example:
    >>> from miniagents import MiniAgents
    >>> async def main():
    ...     async with MiniAgents():
    ...         return str(await ScriptedModel.fork(script=Script("Hello!")).inquire("Hi"))
    >>> asyncio.run(main())
    'Hello!'
"""
