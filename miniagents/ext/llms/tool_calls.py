"""`call_tools`: run the tool calls of a reply at once, each of them with a result in any case."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from miniagents.actors import EventKind
from miniagents.agents import InteractionContext
from miniagents.agents.records import Records, current_interruption
from miniagents.ext.llms.approvals import WAIT, Approve, Decider, ToolApproval, refusal_by
from miniagents.ext.llms.messages import ToolCall, ToolResultMessage
from miniagents.ext.llms.tool_records import Recovery, ToolRecord
from miniagents.ext.llms.tool_results import ResultToken, ToolEndedError, contained
from miniagents.ext.llms.tools import Tool
from miniagents.log import log as _log
from miniagents.messages import FrozenDict, Message, MessagePromise, TextToken, Token, error_text
from miniagents.promising import StreamedPromise

_APPROVAL = "approval"
"""The kind of the records of approved calls."""


def call_tools(
    calls: Sequence[ToolCall],
    tools: Mapping[str, Tool],
    ctx: InteractionContext,
    *,
    approve: Approve | None,
    timeout: float | None,
    approve_timeout: float | None = None,
) -> list[MessagePromise]:
    """Run all calls of a reply at once.

    Args:
        calls: The calls.
        tools: The tools, by name.
        ctx: The context of the agent.
        approve: Decides about each call before it runs; None to allow all calls.
        timeout: Seconds that each call may take, more than 0, without the approval; None for no limit.
        approve_timeout: Seconds to wait for an approval from outside, more than 0; None for no limit.

    Returns:
        The promises of the results, in order. They stream, and each one resolves to a result, also when the call fails
        or is cancelled.
    """
    made = _Result if ctx.interaction.records is None else _RecordedResult
    results = []
    for call in calls:
        tool = tools.get(call.name)
        asked = tool.asked_about(call) if approve is not None and tool is not None else call
        decider = ToolApproval(asked, ctx, approve_timeout) if approve == WAIT else approve
        results.append(_ResultPromise(made(call, asked, tools, ctx, decider, timeout)))
    return [*results]


class _ResultPromise(MessagePromise):
    """The promise of a result, which also resolves if its task was cancelled before its first step."""

    __slots__ = ("_call", "_result", "is_error")

    message_class: type[Message]

    def __init__(self, result: "_Result") -> None:
        self._result: _Result | None = result
        self._call = result.call
        self.is_error = True
        self.message_class = ToolResultMessage
        StreamedPromise.__init__(self, result.tokens)

    @property
    def known_beforehand(self) -> Mapping[str, Any]:  # type: ignore[override]  # it is made when it is asked for
        """The id of the call and the name of the tool."""
        return FrozenDict(call_id=self._call.id, name=self._call.name)

    def end_stream(self, error: BaseException | None = None) -> None:
        result, self._result = self._result, None  # it leads to the call, whose replies lead back to here
        if isinstance(error, asyncio.CancelledError) and result is not None:
            self.is_error = True
            self.push_piece(result.cancelled(bool(self.pieces)))
            error = None
        super().end_stream(error)

    def _assembled(self, pieces: Sequence[Token]) -> Message:
        call, text = self._call, "".join(map(str, pieces))
        parts = tuple(part for piece in pieces if isinstance(piece, ResultToken) for part in piece.parts)
        return ToolResultMessage(text, call_id=call.id, name=call.name, is_error=self.is_error, parts=parts)


class _Result:
    __slots__ = ("_approve", "_asked", "_ctx", "_timeout", "_tools", "call")

    def __init__(
        self,
        call: ToolCall,
        asked: ToolCall,
        tools: Mapping[str, Tool],
        ctx: InteractionContext,
        approve: Decider | None,
        timeout: float | None,
    ) -> None:
        self.call = call
        self._asked = asked
        self._tools = tools
        self._ctx = ctx
        self._approve = approve
        self._timeout = timeout

    async def tokens(self, promise: _ResultPromise) -> AsyncGenerator[Token, None]:
        """Make the call and stream the text of its result; the promise is told whether the tool has answered."""
        any_token = False
        try:
            tool = self._tools.get(self.call.name)
            if tool is None:
                there_are = ", ".join(self._tools) or "none"
                yield TextToken(f"failed: there is no tool {self.call.name!r}; there are: {there_are}")
                return
            refusal = await self._refusal(self._approve) if self._approve is not None else None
            if refusal is not None:
                yield TextToken(f"failed: not approved: {refusal}")
                return
            says_failed = False
            async with aclosing(self._pieces(tool)) as pieces:
                async for token in pieces:
                    any_token = True
                    if isinstance(token, ResultToken) and token.is_error:
                        says_failed = True
                    yield token
            promise.is_error = says_failed
        except asyncio.CancelledError:
            # Providers refuse a history with a call that has no result.
            yield self.cancelled(any_token)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield TextToken(f"failed: the arguments do not fit: {error}")
        except Exception as error:
            self._report(error)
            text = str(error) if isinstance(error, ToolEndedError) else error_text(error)
            yield TextToken(("\n" if any_token else "") + f"failed: {text}")

    def cancelled(self, any_token: bool) -> TextToken:
        """Return the end of the result of a cancelled call.

        Args:
            any_token: Whether the result has tokens before it.
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
            notes = getattr(error.__cause__, "__notes__", ())  # the reason why a call in a thread never began
            why = "".join(f": {note}" for note in notes)
            raise TimeoutError(f"it took longer than {self._timeout} s (tool_timeout){why}") from None
        except BaseException as error:
            failed = error
            raise
        finally:
            if seen is not None:
                seen.ended(None, failed)
            failed = None  # or the error would hold this frame, and the frame the error

    async def _refusal(self, approve: Decider) -> str | None:
        """Return why the call may not run; None if it may."""
        if isinstance(approve, ToolApproval):
            return await approve.refusal()
        refusal: str | None = await contained(refusal_by(approve, self._asked))
        return refusal

    def _report(self, error: Exception) -> None:
        path, number = self._ctx.interaction.path, self._ctx.interaction.id
        crashed = f"{path}/{self.call.name}"
        self._ctx.system.events.publish(EventKind.CRASH, crashed, error=error, detail=number, logged=True)
        _log.warning("llm.tool_failed", **self._ctx.interaction.log_fields, tool=self.call.name, error=repr(error))


class _RecordedResult(_Result):
    """The result of a call in a system with a journal.

    A call of an agent has a row of its own. A call of a function is a record of the agent that makes it: first that it
    was started, then its result. So is the approval of a call.
    """

    __slots__ = ("_record",)

    async def tokens(self, promise: _ResultPromise) -> AsyncGenerator[Token, None]:
        """Make the call and stream the text of its result, or give the result that it had."""
        tool = self._tools.get(self.call.name)
        self._record: ToolRecord | None = None
        if tool is None or tool.is_agent:
            async with aclosing(super().tokens(promise)) as pieces:
                async for token in pieces:
                    yield token
            return
        record = await ToolRecord.of(self._records, self.call)
        if record.has_ended:
            promise.is_error = record.is_error
            for text in record.texts:
                yield TextToken(text)
            if record.parts:
                yield ResultToken("", record.parts)
            return
        if record.was_started and tool.recovery is not Recovery.RERUN:
            if tool.recovery is Recovery.FAIL or self._approve is None:
                yield TextToken("failed: the process ended while it ran, and nobody knows how far it came")
                return
            await self._was_approved()  # it is asked again
            if isinstance(self._approve, ToolApproval):
                self._approve.asks_again = True
        elif self._approve is not None and await self._was_approved():
            self._approve = None
        current_interruption.set(record.was_started)
        self._record = record
        texts: list[str] = []
        parts: tuple[Message, ...] = ()
        async with aclosing(super().tokens(promise)) as pieces:
            async for token in pieces:
                texts.append(str(token))
                if isinstance(token, ResultToken):
                    parts += token.parts
                yield token
        if self._ctx.interaction.cancelled is None:
            record.end(texts, parts, is_error=promise.is_error)

    @property
    def _records(self) -> Records:
        records = self._ctx.interaction.records
        assert records is not None  # or `call_tools` would have made another result
        return records

    async def _pieces(self, tool: Tool) -> AsyncGenerator[Token, None]:
        if self._record is not None:
            await self._record.start(is_awaited=tool.recovery is not Recovery.RERUN)
        async with aclosing(super()._pieces(tool)) as pieces:
            async for token in pieces:
                yield token

    async def _refusal(self, approve: Decider) -> str | None:
        refusal = await super()._refusal(approve)
        if refusal is None:
            self._records.record_soon(_APPROVAL, self.call.id.encode(), b"yes")
        return refusal

    async def _was_approved(self) -> bool:
        record = await self._records.recorded(_APPROVAL, self.call.id.encode())
        return record is not None and record.value is not None
