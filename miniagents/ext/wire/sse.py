"""Server-sent events, as text/event-stream carries them: written, and read as their bytes come."""

from typing import Any

import msgspec

DONE = b"data: [DONE]\n\n"
"""What ends a stream of OpenAI's chat completions."""

PING = b": ping\n\n"
"""A comment: it keeps a connection open, and clients skip it."""

_BOM = b"\xef\xbb\xbf"
_MOST_STRAY = 65_536


def sse(data: Any, event: str | None = None, event_id: str | None = None) -> bytes:
    """One event.

    Args:
        data: What it says; it goes out as JSON, which has no newlines.
        event: Its type, one line.
        event_id: Its id, one line.
    """
    head = (f"id: {event_id}\n" if event_id else "") + (f"event: {event}\n" if event else "")
    return b"%sdata: %s\n\n" % (head.encode(), msgspec.json.encode(data))


class EventDecoder:
    """Reads events from bytes, by the rules of the HTML standard.

    Events without data are left out: comments, ids and empty events keep a connection open, and say nothing. One
    difference from the standard: an event that the end of the stream cuts off before its blank line counts too (`end`).

    Attributes:
        stray: The first lines that are no fields of events, as long as no event came: an error body that is sent as a
            stream.
    """

    __slots__ = ("_any", "_data", "_kind", "_rest", "_skips_newline", "stray")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._kind = ""
        self._skips_newline = False
        self._any = False
        self.stray = bytearray()

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """Take the next bytes.

        Returns:
            The events that they complete: type ("" for none) and data.
        """
        if self._skips_newline and chunk:
            self._skips_newline = False
            chunk = chunk.removeprefix(b"\n")
        found: list[tuple[str, bytes]] = []
        for line in chunk.splitlines(keepends=True):
            if line[-1] not in b"\r\n":
                self._rest += line  # only the last one can be unfinished
                break
            if self._rest:
                line = bytes(self._rest) + line
                self._rest.clear()
            self._line(line.rstrip(b"\r\n"), found)
        self._skips_newline = chunk.endswith(b"\r")  # "\r\n" may come in two halves
        return found

    def end(self) -> list[tuple[str, bytes]]:
        """The stream has ended.

        Returns:
            The event that had no blank line behind it, if there was one.
        """
        found: list[tuple[str, bytes]] = []
        if self._rest:
            self._line(bytes(self._rest), found)
            self._rest.clear()
        self._line(b"", found)
        return found

    def _line(self, line: bytes, found: list[tuple[str, bytes]]) -> None:
        if not line:
            data, kind = b"\n".join(self._data), self._kind
            self._data.clear()
            self._kind = ""
            if data and not data.isspace():
                self._any = True
                found.append((kind, data))
            return
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            return
        name, _, value = line.removeprefix(_BOM).partition(b":")
        if name == b"event":
            self._kind = value.removeprefix(b" ").decode("utf-8", "replace")
        elif name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name not in (b"", b"id", b"retry") and not self._any and len(self.stray) < _MOST_STRAY:
            self.stray += line + b"\n"
