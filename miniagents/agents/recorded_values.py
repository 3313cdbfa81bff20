"""Values that a call takes once: the result of a function, the time, a random number."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from miniagents.agents.records import Records, records_of
from miniagents.messages import DataMessage


async def taken_number(interaction: Any, kind: str, key: bytes, take: Callable[[], float]) -> float:
    """Return the next number that a call has under a key; if there is none, take and record it.

    Args:
        interaction: The call.
        kind: The kind of the record.
        key: The key.
        take: Returns the number.

    Raises:
        JournalError: The journal cannot be read or written.
    """
    records = records_of(interaction)
    recorded = await records.recorded(kind, key)
    if recorded is not None and recorded.value is not None:
        return msgspec.msgpack.decode(recorded.value, type=float)
    number = take()
    await records.record(kind, key, msgspec.msgpack.encode(number))
    return number


async def taken_once(interaction: Any, kind: str, key: str, take: Callable[[], object]) -> Any:
    """Return the value that a call has under a key; the first time, take it and record it.

    Args:
        interaction: The call.
        kind: The kind of the record.
        key: The key.
        take: Returns the value, or an awaitable of it.

    Returns:
        The value, as a message would hold it.

    Raises:
        NotSendableError: A message cannot hold the value.
        JournalError: The journal cannot be read or written.
    """
    records = records_of(interaction)
    if records.taking is None:
        records.taking = {}
    taking = records.taking  # two that ask for the same at once share it
    while (other := taking.get((kind, key))) is not None:
        await asyncio.wait([other])  # the one that takes it ends that
        if not other.cancelled():
            return other.result()
    mine = taking[kind, key] = interaction.system.loop.create_future()
    try:
        value = await _taken(records, kind, key, take)
    except asyncio.CancelledError:
        del taking[kind, key]
        mine.cancel()  # one that waits for it takes it in its place
        raise
    except BaseException as error:
        del taking[kind, key]
        mine.set_exception(error)
        mine.exception()  # it is raised here, whether or not somebody shares it
        raise
    mine.set_result(value)
    return value


async def _taken(records: Records, kind: str, key: str, take: Callable[[], object]) -> Any:
    name = key.encode()
    recorded = await records.recorded(kind, name)
    if recorded is not None and isinstance(recorded.message, DataMessage):
        return recorded.message["value"]
    value = take()
    if inspect.isawaitable(value):
        value = await value
    message = DataMessage({"value": value})
    await records.record(kind, name, b"", message)
    return message["value"]
