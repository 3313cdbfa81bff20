"""Calls of tools: all of a turn at once, each of them with a result, whatever happens."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias

import msgspec
import structlog

from miniagents.actors import EventKind
from miniagents.agents import InteractionContext, MiniAgent
from miniagents.ext.llms.messages import ToolCall, ToolResultMessage
from miniagents.ext.llms.tool_results import ToolEndedError, contained
from miniagents.ext.llms.tools import Tool
from miniagents.messages import MessagePromise, TextToken, Token

_log = structlog.get_logger("miniagents")

Approve: TypeAlias = Callable[[ToolCall], Any] | MiniAgent
"""Is asked before a call is made: a callable, async or not, or an agent. True (an agent says `yes`) lets it pass.
False, or a reason, does not, and the reason goes to the model."""

_YES = frozenset({"true", "yes", "y", "ok", "approve", "approved"})


def call_tools(
    calls: Sequence[ToolCall],
    tools: Mapping[str, Tool],
    ctx: InteractionContext,
    *,
    approve: Approve | None,
    timeout: float | None,
) -> list[MessagePromise]:
    """Make all calls of a turn at once.

    Args:
        calls: The calls.
        tools: The tools, by name.
        ctx: The agent's context.
        approve: Is asked first, or None.
        timeout: Seconds that each call may take, approval not included; None for no limit.

    Returns:
        Promises of their results, in order: they stream, and whatever happens each one resolves to a result.
    """
    return [_ResultPromise(_Result(call, tools, ctx, approve, timeout)) for call in calls]


class _ResultPromise(MessagePromise):
    """The promise of a result, which resolves also where its task was cancelled before its first step."""

    __slots__ = ("_result",)

    def __init__(self, result: "_Result") -> None:
        self._result = result
        call = result.call
        super().__init__(
            message_token_streamer=result.tokens, message_class=ToolResultMessage, call_id=call.id, name=call.name
        )

    def _end(self, error: BaseException | None = None) -> None:
        if isinstance(error, asyncio.CancelledError) and not self._finished:
            self._late["is_error"] = True
            self._push(self._result.cancelled(bool(self._pieces)))
            error = None
        super()._end(error)


class _Result:
    def __init__(
        self,
        call: ToolCall,
        tools: Mapping[str, Tool],
        ctx: InteractionContext,
        approve: Approve | None,
        timeout: float | None,
    ) -> None:
        self.call = call
        self._tools = tools
        self._ctx = ctx
        self._approve = approve
        self._timeout = timeout

    async def tokens(self, late: dict[str, Any]) -> AsyncGenerator[Token, None]:
        late["is_error"] = True
        any_token = False
        try:
            tool = self._tools.get(self.call.name)
            if tool is None:
                there_are = ", ".join(self._tools) or "none"
                yield TextToken(f"failed: there is no tool {self.call.name!r}; there are: {there_are}")
                return
            refusal = await self._refusal()
            if refusal is not None:
                yield TextToken(f"failed: not approved: {refusal}")
                return
            async with aclosing(self._pieces(tool)) as pieces:
                async for token in pieces:
                    any_token = True
                    yield token
            late["is_error"] = False
        except asyncio.CancelledError:
            # The call has a result whatever happens: a history without one could never be sent again.
            yield self.cancelled(any_token)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield TextToken(f"failed: the arguments do not fit: {error}")
        except Exception as error:
            self._report(error)
            text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            if isinstance(error, ToolEndedError):
                text = str(error)
            yield TextToken(("\n" if any_token else "") + f"failed: {text}")

    def cancelled(self, any_token: bool) -> TextToken:
        """The end of the result of a call that was cancelled.

        Args:
            any_token: Whether the call has given anything before.
        """
        reason = self._ctx.interaction.cancelled
        return TextToken(("\n" if any_token else "") + f"cancelled: {reason if reason is not None else 'stopped'}")

    async def _pieces(self, tool: Tool) -> AsyncGenerator[Token, None]:
        """Make the call, within its time, seen by the system's observers."""
        ctx = self._ctx
        seen = ctx.system.observers.tool_called(ctx.interaction, tool, self.call)
        failed: BaseException | None = None
        try:
            async with asyncio.timeout(self._timeout) as timer, aclosing(tool.tokens(self.call, ctx)) as pieces:
                async for token in pieces:
                    if seen is not None:
                        seen.piece(token)
                    yield token
        except TimeoutError as error:
            failed = error
            if not timer.expired():
                raise
            notes = getattr(error.__cause__, "__notes__", ())  # what was waited for, where it never began
            why = "".join(f": {note}" for note in notes)
            raise TimeoutError(f"it took longer than {self._timeout} s (tool_timeout){why}") from None
        except BaseException as error:
            failed = error
            raise
        finally:
            if seen is not None:
                seen.ended(None, failed)
            failed = None  # or the error would hold this frame, and the frame the error

    async def _refusal(self) -> str | None:
        """Why the call may not be made, or None."""
        approve = self._approve
        if approve is None:
            return None
        said = await contained(self._answer(approve))
        if said is True:
            return None
        return str(said) if said else "the call was refused"

    async def _answer(self, approve: Approve) -> Any:
        if isinstance(approve, MiniAgent):
            said = str(await approve.inquire(self.call)).strip()
            return True if said.lower() in _YES else said
        answer = approve(self.call)
        return await answer if inspect.isawaitable(answer) else answer

    def _report(self, error: Exception) -> None:
        path, number = self._ctx.interaction.path, self._ctx.interaction.id
        crashed = f"{path}/{self.call.name}"
        self._ctx.system.events.publish(EventKind.CRASH, crashed, error=error, detail=number, logged=True)
        _log.warning("llm.tool_failed", actor=path, interaction=number, tool=self.call.name, error=repr(error))
