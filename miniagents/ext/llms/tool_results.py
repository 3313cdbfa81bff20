"""The results of tools as text for a model."""

import asyncio
import inspect
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from itertools import takewhile
from typing import Any, TypeGuard

import msgspec

from miniagents.ext.llms.messages import ToolResultMessage
from miniagents.messages import Message, Messages, TextToken, Token, error_text, to_json

NO_RESULT = "(no result)"
_NO_TEXT = re.compile(r" at 0x[0-9a-fA-F]+>")
"""The default representation of a Python object, which is no text for a model."""


class ResultToken(TextToken, frozen=True):
    """The result of a tool as a message: its text, and beside it what no text can say.

    Attributes:
        parts: The parts of the result, if it is more than text.
        is_error: Whether the tool says that it has failed.
    """

    parts: tuple[Message, ...] = ()
    is_error: bool = False


class ToolEndedError(RuntimeError):
    """A tool raised an exception that ends programs or coroutines (SystemExit, GeneratorExit): its call has failed."""


def outcome_of(call: Callable[[], object], is_wanted: Callable[[], bool]) -> object:
    """Call a function in a thread, and join the items of an iterator that it returns.

    Args:
        call: The function.
        is_wanted: Returns whether the result is still needed; if not, an iterator is read no further.

    Raises:
        ToolEndedError: The function raised an exception that is no `Exception`, or a StopIteration, which no future
            takes.
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


async def pieces_of(result: object) -> AsyncGenerator[TextToken, None]:
    """Stream the text of a result.

    The items of an iterator, async or not, are streamed: strings as they are, other items as
    lines of JSON. A `ToolResultMessage` is one token, with its parts.

    Args:
        result: The return value of the tool, awaited if it could be.

    Raises:
        ValueError: The result is neither text nor data.
        ToolEndedError: The tool raised an exception that is no `Exception`.
    """
    if _is_iterator(result):
        result = _turns(result)
    if isinstance(result, ToolResultMessage):
        yield ResultToken(result.content, result.parts, result.is_error)
        return
    if not isinstance(result, AsyncIterator):
        yield TextToken(_text(result))
        return
    async with aclosing(each(result)) as pieces:
        async for piece in pieces:
            yield TextToken(_piece(piece))


def _is_iterator(result: object) -> TypeGuard[Iterator[object]]:
    return isinstance(result, Iterator) and not isinstance(result, (Message, Messages))


async def _turns(result: Iterator[object]) -> AsyncGenerator[object, None]:
    for piece in result:
        yield piece
        await asyncio.sleep(0)  # so that the timeout can stop an endless iterator


async def each(items: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """Iterate over the items of a tool; a generator is closed at the end.

    Raises:
        ToolEndedError: The iterator raised an exception that is no `Exception`.
    """
    try:
        while True:
            try:
                piece = await contained(anext(items))
            except StopAsyncIteration:
                return
            yield piece
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


async def contained(awaitable: Awaitable[Any]) -> Any:
    """Await an awaitable of a tool, so that it ends neither the program nor the agent.

    Raises:
        ToolEndedError: The awaitable raised SystemExit or GeneratorExit.
    """
    result = await _outcome(awaitable)
    if isinstance(result, _Ended):
        raise _ended(result.error) from result.error
    return result


class _Ended:
    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _outcome(awaitable: Awaitable[Any]) -> Any:
    """Return such an exception as a value. A coroutine that is closed gets a GeneratorExit, too: it may return, but
    raise nothing else, and its caller is closed after it."""
    try:
        return await awaitable
    except (SystemExit, GeneratorExit) as error:
        return _Ended(error)


def _ended(error: BaseException) -> ToolEndedError:
    return ToolEndedError(f"{error_text(error)} (it ends the call of the tool, and nothing else)")


def _piece(piece: object) -> str:
    if piece is None:
        return ""
    return str(piece) if isinstance(piece, (str, Token)) else f"{_text(piece)}\n"


def _text(result: object) -> str:
    if isinstance(result, str):
        return result
    if result is None:
        return NO_RESULT
    if isinstance(result, (Message, Messages)):
        return str(result)
    text = to_json(result, _readable)
    return msgspec.json.decode(text, type=str) if text.startswith('"') else text  # a date or a number, without quotes


def _readable(value: object) -> object:
    """Return a value that JSON does not know as one that it knows.

    Raises:
        ValueError: The value is neither data nor text.
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
