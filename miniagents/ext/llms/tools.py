"""Tools: functions and agents, as a model sees and calls them."""

import asyncio
import inspect
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from contextvars import copy_context
from functools import partial
from typing import Any

import structlog

from miniagents.actors.threads import DaemonExecutor, exit_grace
from miniagents.agents import AgentRef, InteractionContext, MiniAgent
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.messages import ToolCall
from miniagents.ext.llms.provider import ToolSpec
from miniagents.ext.llms.signatures import Signature, signature_of
from miniagents.ext.llms.tool_results import each, outcome_of, pieces_of
from miniagents.messages import TextToken, Token, UserMessage

_log = structlog.get_logger("miniagents")

_OF_AGENTS = Signature("agent", {"message": str}, {})


class Tool:
    """A function or an agent, as a model sees it.

    Args:
        target: The function, async or not, or the agent.
        name: What the model calls it.

    Attributes:
        spec: What the model is told of it.

    Raises:
        InvalidOptionError: It is neither, or its parameters have no schema.
    """

    def __init__(self, target: Any, name: str) -> None:
        self.target = target
        if isinstance(target, (MiniAgent, AgentRef)):
            self._signature = _OF_AGENTS
            agent = target if isinstance(target, MiniAgent) else target._called_agent()
            description = agent.description or ""
        elif callable(target):
            self._signature = signature_of(target, name)
            description = inspect.getdoc(target.func if isinstance(target, partial) else target) or ""
        else:
            raise InvalidOptionError(f"tools= takes functions and agents, not {target!r}")
        self.spec = ToolSpec(name, description, self._signature.schema, self._signature.strict_schema)

    def tokens(self, call: ToolCall, ctx: InteractionContext) -> AsyncGenerator[Token, None]:
        """Make the call, and stream its answer."""
        given = self._signature.decode(call.arguments)
        if isinstance(self.target, (MiniAgent, AgentRef)):
            return self._of_agent(given["message"])
        return self._of_function({**given, **dict.fromkeys(self._signature.contexts, ctx)}, call, ctx)

    async def _of_agent(self, message: str) -> AsyncGenerator[Token, None]:
        replies = self.target.inquire(UserMessage(message))
        try:
            async with aclosing(each(aiter(replies.as_single_text_promise()))) as tokens:
                async for token in tokens:
                    yield token
        finally:
            replies.cancel("its tool call is over")

    async def _of_function(
        self, given: dict[str, Any], call: ToolCall, ctx: InteractionContext
    ) -> AsyncGenerator[Token, None]:
        runs_in_the_loop = any(map(_is_async, (self.target, getattr(self.target, "__call__", None))))  # noqa: B004
        result = self.target(**given) if runs_in_the_loop else await self._in_thread(given, call, ctx)
        async with aclosing(pieces_of(result)) as pieces:
            async for piece in pieces:
                yield TextToken(piece)

    async def _in_thread(self, given: dict[str, Any], call: ToolCall, ctx: InteractionContext) -> Any:
        threads = ctx.system.shared(("threads of tools",), partial(DaemonExecutor, name="tools"), _close)
        began: list[bool] = []
        wanted = [True]

        def work() -> Any:
            began.append(True)
            return outcome_of(partial(self.target, **given), lambda: bool(wanted))

        work.__qualname__ = call.name  # what hangs is told by this name
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, work)
        except asyncio.CancelledError as cancelled:
            wanted.clear()
            if began:
                _log.warning(
                    "llm.tool_thread_runs_on",
                    actor=ctx.interaction.path,
                    tool=call.name,
                    running=threads.running,
                )
            else:
                cancelled.add_note(f"no thread was free for it: they run {threads.running}")
            raise


def _is_async(target: Any) -> bool:
    return inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target)


async def _close(threads: DaemonExecutor) -> None:
    """At the end of the system: what runs on gets its grace, in a thread of its own, so that the loop goes on."""
    if threads.running:
        threads.grace = exit_grace()
        await asyncio.to_thread(threads.shutdown)
    else:
        threads.shutdown(wait=False)


def tools_of(targets: Iterable[Any]) -> dict[str, Tool]:
    """Tools by the names that the model is told: 1 to 64 letters, digits, `_` and `-`, each one once."""
    found: dict[str, Tool] = {}
    for target in targets:
        agent = target._called_agent() if isinstance(target, AgentRef) else target
        own = getattr(agent, "alias", None) or getattr(agent, "__name__", None) or type(agent).__name__
        name = base = re.sub(r"[^a-zA-Z0-9_-]+", "_", own)[:64].strip("_") or "tool"
        number = 2
        while name in found:
            ending = f"_{number}"
            name = base[: 64 - len(ending)] + ending
            number += 1
        found[name] = Tool(target, name)
    return found
