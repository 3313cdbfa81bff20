"""Values that a call takes once: the result of a function, the time, a random number."""

import asyncio
import inspect
import weakref
from collections.abc import Callable
from typing import Any

from miniagents.agents.records import records_of
from miniagents.messages import DataMessage

_under_way: "weakref.WeakKeyDictionary[Any, dict[tuple[str, str], asyncio.Future[Any]]]" = weakref.WeakKeyDictionary()
"""What each call takes now, so that two that ask for the same at once share it."""


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
    taking = _under_way.setdefault(interaction, {})
    while (other := taking.get((kind, key))) is not None:
        await asyncio.wait([other])  # the one that takes it ends that
        if not other.cancelled():
            return other.result()
    mine = taking[kind, key] = interaction.system.loop.create_future()
    try:
        value = await _taken(interaction, kind, key, take)
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


async def _taken(interaction: Any, kind: str, key: str, take: Callable[[], object]) -> Any:
    records = records_of(interaction)
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
