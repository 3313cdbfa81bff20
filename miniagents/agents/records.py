"""`Records`: what a call has paid for, under keys: requests to models, tool calls, values of clock and chance.

`current_interruption` tells the code of a tool whether it was started before.
"""

import asyncio
import weakref
from collections import deque
from contextvars import ContextVar
from typing import Any, NamedTuple

from miniagents.messages import Message

Key = tuple[str, bytes]
"""The kind of a record and its key."""

WAIT_KIND = "wait"
"""The kind under which the waits of a call for answers from outside are numbered. No record has it."""

current_interruption: ContextVar[bool] = ContextVar("miniagents.current_interruption", default=False)
"""Whether the tool whose code runs was started before, in a process that has ended."""


class Recorded(NamedTuple):
    """A record, as the call that runs again finds it.

    Attributes:
        number: The number among the records of the same kind and key, from 0.
        value: The result; None if it was started and has none.
        message: The message that belongs to the result, or None.
    """

    number: int
    value: bytes | None
    message: Message | None = None


class Records:
    """The records of a call in a system without a journal. They live as long as the call.

    Records of the same kind and key are told apart by their numbers, in the order in which the code asks for them. So a
    call that runs again gets them in that order.

    Attributes:
        taking: The values that `taken_once` takes or has taken, by kind and key; None as long as there are none.

    Example:
        >>> from miniagents.agents.records import Records
        >>> records = Records()
        >>> print(await records.recorded("once", b"invoice"))
        None
        >>> await records.record("once", b"invoice", b"17")
        >>> records.rewind()
        >>> (await records.recorded("once", b"invoice")).value
        b'17'
    """

    taking: "dict[tuple[str, str], asyncio.Future[Any]] | None" = None  # few calls have any

    def __init__(self) -> None:
        self._values: dict[tuple[str, bytes, int], Recorded] = {}
        self._asked: dict[Key, int] = {}
        self._open: dict[Key, deque[int]] = {}

    def rewind(self) -> None:
        """Begin from the first numbers, since the code begins again."""
        self._asked.clear()
        self._open.clear()

    def number(self, kind: str, key: bytes) -> int:
        """Take the next number of a kind and key, whatever is recorded under it: 0, then 1, and so on."""
        number = self._asked.get((kind, key), 0)
        self._asked[kind, key] = number + 1
        return number

    async def recorded(self, kind: str, key: bytes) -> Recorded | None:
        """Return the next record of a kind and key.

        Args:
            kind: What it is: "model", "tool", "once", or another word.
            key: Its key.

        Returns:
            The record; None if there is none. Then `record` records the result.
        """
        return self._next(kind, key)

    def record(
        self,
        kind: str,
        key: bytes,
        value: bytes | None,
        message: Message | None = None,
        *,
        number: int | None = None,
        also: tuple[Any, ...] = (),
    ) -> "asyncio.Future[None]":
        """Record a result.

        Args:
            kind: As for `recorded`.
            key: As for `recorded`.
            value: The result; None for what is started and has none yet.
            message: A message that belongs to the result, or None.
            number: Which of the equal ones it is; None for the first one that was asked for and has no result yet.
            also: Operations of the journal, which are written in the same transaction.

        Returns:
            A future that resolves once the record is as safe as this system can make it.
        """
        number = self._number(kind, key, is_result=value is not None) if number is None else number
        self._values[kind, key, number] = Recorded(number, value, message)
        return self._write(kind, key, number, value, message, also)

    def record_soon(self, kind: str, key: bytes, value: bytes | None, message: Message | None = None) -> None:
        """Record a result for which nobody waits. If that fails, a log says so, and the result will be paid for again.

        Args:
            kind: As for `record`.
            key: As for `record`.
            value: As for `record`.
            message: As for `record`.
        """
        self.record(kind, key, value, message)

    def _write(
        self, kind: str, key: bytes, number: int, value: bytes | None, message: Message | None, also: tuple[Any, ...]
    ) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    def _next(self, kind: str, key: bytes) -> Recorded | None:
        number = self.number(kind, key)
        record = self._values.get((kind, key, number))
        if record is None or record.value is None:
            self._open.setdefault((kind, key), deque()).append(number)
        return record

    def _number(self, kind: str, key: bytes, *, is_result: bool) -> int:
        """Return the number of what is recorded now: of the equal ones, results come in the order of their ends."""
        numbers = self._open.get((kind, key))
        if numbers:
            return numbers.popleft() if is_result else numbers[0]
        return self.number(kind, key)


_of_plain_calls: "weakref.WeakKeyDictionary[Any, tuple[Records, weakref.ref[Any]]]" = weakref.WeakKeyDictionary()
"""The records of calls that are in no journal, each with the task that runs the code."""


def records_of(interaction: Any) -> Records:
    """Return the records of a call: in the journal, or, without one, in memory as long as the call lives."""
    records: Records | None = interaction.records
    if records is not None:
        return records
    task = interaction.task
    records, last = _of_plain_calls.get(interaction, (None, None))
    if records is None:
        records = Records()
    elif task is None or (last is not None and last() is task):
        return records
    else:
        records.rewind()  # a `RetryPolicy` tries the call again, in a task of its own
    _of_plain_calls[interaction] = records, weakref.ref(task if task is not None else interaction)
    return records
