"""Search over actors, failures and texts: any substring, in any script."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from miniagents.ext.observer.calls import CallRecord
from miniagents.ext.observer.following import Following
from miniagents.ext.observer.happenings import Happening
from miniagents.ext.observer.slices import Slices
from miniagents.ext.observer.texts import Texts

T = TypeVar("T")

SHOWN = 30
"""The most results of each kind."""
_EVERY = 32
_AROUND = 60
"""The characters that are shown before and after what was found."""

View = dict[str, Any]


def folded(text: str) -> str:
    """Return a text as it is compared: without a difference of case, or of the form of its characters.

    Args:
        text: The text.

    Example:
        >>> folded("Straße") == folded("STRASSE"), folded("e\\u0301") == folded("\\u00e9")
        (True, True)
    """
    return unicodedata.normalize("NFKC", text).casefold()


async def search(system: Any, following: Following, texts: Texts, wanted: str) -> View:
    """Search actors by path and error, happenings by path and text, and calls by agent, error and texts.

    Args:
        system: The system.
        following: Its observer.
        texts: The rule for texts. Only what may be seen is searched.
        wanted: What is looked for.

    Returns:
        For each kind the `items`, how many were `found`, and `of` how many; the time of the `oldest` that is kept,
        and how many were `dropped`.
    """
    needle = folded(wanted)
    slices = Slices()

    async def look(
        things: Iterable[T], texts_of: Callable[[T], Iterator[str | None]], show: Callable[[T, str], View]
    ) -> View:
        items, found, of = list[View](), 0, 0
        for thing in things:
            of += 1
            for text in texts_of(thing):
                if text and needle in folded(text):
                    found += 1
                    if len(items) < SHOWN:
                        items.append(show(thing, _around(text, needle)))
                    break
            if not of % _EVERY and slices.is_over:
                await slices.next()
        return {"items": items, "found": found, "of": of}

    def actor(cell: Any, text: str) -> View:
        return {"path": cell.path, "state": cell.state.value, "text": text}

    def happening(thing: Happening, text: str) -> View:
        return {
            "number": thing.number,
            "kind": thing.kind,
            "path": thing.path,
            "at": thing.at,
            "call": thing.call,
            "text": text,
        }

    def call(record: CallRecord, text: str) -> View:
        return {"id": record.id, "path": record.path, "error": record.error_type, "text": text}

    recorder = following.recorder
    return {
        "actors": await look(_cells(system.root), lambda cell: iter((cell.path, texts.of(cell.last_error))), actor),
        "happenings": await look(
            list(following.happenings.values())[::-1],
            lambda thing: iter((thing.path, thing.error_type, texts.of(thing.text))),
            happening,
        ),
        "calls": await look(list(following.records.values())[::-1], lambda record: _texts_of(record, texts), call),
        "oldest": recorder.oldest_at,
        "dropped": recorder.dropped.total(),
    }


def _texts_of(record: CallRecord, texts: Texts) -> Iterator[str | None]:
    yield record.path
    yield record.error_type
    for text in (record.error, record.input, record.output):
        yield texts.of(text)
    for step in record.steps or ():
        yield step.name
        yield texts.of(step.text)


def _cells(root: Any) -> Iterator[Any]:
    todo = list((root.children or {}).values())[::-1]
    while todo:
        cell = todo.pop()
        yield cell
        if cell.children:
            todo += list(cell.children.values())[::-1]


def _around(text: str, needle: str) -> str:
    """Return the part of a text around what was found. Places in the folded text are nearly those in the text."""
    place = folded(text).find(needle)
    begin, end = max(place - _AROUND, 0), place + len(needle) + _AROUND
    return ("…" if begin else "") + text[begin:end] + ("…" if end < len(text) else "")
