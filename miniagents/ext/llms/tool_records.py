"""Calls of function tools in a journal, and what becomes of one that was started and has no result."""

import enum
from collections.abc import Sequence

import msgspec

from miniagents.agents.records import Records
from miniagents.ext.llms.messages import ToolCall
from miniagents.messages import Message
from miniagents.messages.wire import decode, encode

KIND = "tool"
"""The kind of the records. The key is the id of the call."""


class Recovery(enum.Enum):
    """What becomes of a call of a function tool that was started when the process ended, and has no result.

    Example:
        ```python
        from miniagents.ext.llms import OpenAIAgent, Recovery, Tool

        async def pay(amount: float) -> str:
            return f"paid {amount}"

        cashier = OpenAIAgent.fork(model="gpt-5-mini", tools=[Tool(pay, recovery=Recovery.FAIL)])
        print(cashier.alias)  # OpenAIAgent
        ```
    """

    RERUN = "rerun"
    """The function is called again, and `ctx.interrupted` tells it so."""
    ASK = "ask"
    """`approve=` is asked again. Without `approve=`, as `FAIL`."""
    FAIL = "fail"
    """The model is told that the call has failed."""


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    is_error: bool
    texts: tuple[str, ...]
    parts: tuple[bytes, ...] = ()


class ToolRecord:
    """The record of a call.

    Args:
        records: The records of the agent's call.
        call: The tool call.
        was_started: Whether it was started before.
        value: The result in the journal, or None.
    """

    def __init__(self, records: Records, call: ToolCall, *, was_started: bool, value: bytes | None) -> None:
        self._records = records
        self._key = call.id.encode()
        self.was_started = was_started
        stored = msgspec.msgpack.decode(value, type=_Stored) if value is not None else None
        self.has_ended = stored is not None
        self.is_error = stored is not None and stored.is_error
        self.texts: Sequence[str] = stored.texts if stored is not None else ()
        self.parts = tuple(map(decode, stored.parts)) if stored is not None else ()

    @classmethod
    async def of(cls, records: Records, call: ToolCall) -> "ToolRecord":
        """Read the record of a call."""
        record = await records.recorded(KIND, call.id.encode())
        return cls(records, call, was_started=record is not None, value=record.value if record is not None else None)

    async def start(self, *, is_awaited: bool) -> None:
        """Record that the call is started, before anything of it happens.

        Args:
            is_awaited: Wait until that is on disk, since a second call must not happen.

        Raises:
            JournalError: It cannot be written, and was to be awaited.
        """
        if is_awaited:
            await self._records.record(KIND, self._key, None)
        else:
            self._records.record_soon(KIND, self._key, None)

    def end(self, texts: Sequence[str], parts: Sequence[Message] = (), *, is_error: bool) -> None:
        """Record the result."""
        stored = _Stored(is_error, tuple(texts), tuple(map(encode, parts)))
        self._records.record_soon(KIND, self._key, msgspec.msgpack.encode(stored))
