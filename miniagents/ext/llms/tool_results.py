"""What a tool gives back, as text for a model: whatever it is awaited, joined, encoded, or refused."""

import asyncio
import inspect
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from itertools import takewhile
from typing import Any

import msgspec

from miniagents.messages import Message, Messages, Token, to_json

NO_RESULT = "(no result)"
_NO_TEXT = re.compile(r" at 0x[0-9a-fA-F]+>")
"""How Python shows what has no text of its own."""


class ToolEndedError(RuntimeError):
    """A tool raised what ends a program or a coroutine (SystemExit, GeneratorExit): here it ends the call alone."""


def outcome_of(call: Callable[[], Any], is_wanted: Callable[[], bool]) -> Any:
    """Make a call in a thread, with all that an iterator has to say.

    Args:
        call: The call.
        is_wanted: Whether anybody still waits for it; an iterator without an end would go on for ever.

    Raises:
        ToolEndedError: It raised something that is no `Exception`, or a StopIteration, which no future takes.
    """
    try:
        result = call()
        return "".join(map(_piece, takewhile(lambda _: is_wanted(), result))) if _is_iterator(result) else result
    except StopIteration as error:
        raise _ended(error) from error
    except Exception:
        raise
    except BaseException as error:
        raise _ended(error) from error


async def pieces_of(result: Any) -> AsyncGenerator[str, None]:
    """The text of a result.

    What can be awaited is awaited, and what an iterator gives is text as it comes: strings as they are, all else as a
    line of JSON.

    Args:
        result: What the tool returned.

    Raises:
        ValueError: It is neither text nor data.
        ToolEndedError: It raised something that is no `Exception`.
    """
    while inspect.isawaitable(result):
        result = await contained(result)
    if _is_iterator(result):
        result = _turns(result)
    if not isinstance(result, AsyncIterator):
        yield _text(result)
        return
    async with aclosing(each(result)) as pieces:
        async for piece in pieces:
            yield _piece(piece)


def _is_iterator(result: Any) -> bool:
    return isinstance(result, Iterator) and not isinstance(result, (Message, Messages))


async def _turns(result: Iterator[Any]) -> AsyncGenerator[Any, None]:
    for piece in result:
        yield piece
        await asyncio.sleep(0)  # one without an end must be stopped by its time


async def each(given: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """What an iterator gives, contained; a generator is closed at the end.

    Raises:
        ToolEndedError: It raised something that is no `Exception`.
    """
    try:
        while True:
            try:
                piece = await contained(anext(given))
            except StopAsyncIteration:
                return
            yield piece
    finally:
        close = getattr(given, "aclose", None)
        if close is not None:
            await close()


async def contained(awaitable: Awaitable[Any]) -> Any:
    """Await what belongs to a tool, so that it can end neither the program nor us.

    Raises:
        ToolEndedError: It raised something that is no `Exception`, a cancellation and Ctrl-C aside.
    """
    result = await _outcome(awaitable)
    if isinstance(result, _Ended):
        raise _ended(result.error) from result.error
    return result


class _Ended:
    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _outcome(awaitable: Awaitable[Any]) -> Any:
    """The error comes as a value. When a coroutine is closed, it gets a GeneratorExit, too: it may return then, but
    raise nothing else, and whoever awaits it is closed after it."""
    try:
        return await awaitable
    except (SystemExit, GeneratorExit) as error:
        return _Ended(error)


def _ended(error: BaseException) -> ToolEndedError:
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ToolEndedError(f"{said} (it ends the call of the tool, and nothing else)")


def _piece(piece: Any) -> str:
    if piece is None:
        return ""
    return str(piece) if isinstance(piece, (str, Token)) else f"{_text(piece)}\n"


def _text(result: Any) -> str:
    if isinstance(result, str):
        return result
    if result is None:
        return NO_RESULT
    if isinstance(result, (Message, Messages)):
        return str(result)
    text = to_json(result, _readable)
    return msgspec.json.decode(text, type=str) if text.startswith('"') else text  # a date or a number, without quotes


def _readable(value: Any) -> Any:
    """What JSON does not know, as something that it does.

    Raises:
        ValueError: It has no text of its own.
    """
    dumped = getattr(value, "model_dump", None)
    if callable(dumped) and not isinstance(value, type):
        return dumped(mode="json")  # pydantic's
    if inspect.iscoroutine(value):
        value.close()
    text = str(value)
    if _NO_TEXT.search(text):
        raise ValueError(
            f"the tool returned {type(value).__qualname__!r}, which is neither text nor data: it must return a string, "
            f"or what JSON can say"
        )
    return text
