"""`Lines`: the lines of a byte stream, none of them longer than a bound."""

import re
from dataclasses import dataclass

_EDGE = 512
"""The number of bytes that are kept of both ends of a line that is too long."""

_ID = rb'"id"\s*:\s*(?:(?P<number>-?\d{1,18})|"(?P<text>[^"\\]{1,200})")'
_VERSION = rb'"jsonrpc"\s*:\s*"2\.0"'
_AT_THE_HEAD = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb"\s*,\s*)?" + _ID + rb"\s*,")
_AT_THE_TAIL = re.compile(rb"[,}\]\"]\s*,\s*" + _ID + rb"\s*(?:,\s*" + _VERSION + rb"\s*)?\}\s*$")
_BEFORE_THE_TAIL = re.compile(rb",\s*" + _VERSION + rb"\s*,\s*" + _ID + rb"\s*\}\s*$")


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line that was longer than the bound, and was thrown away.

    Attributes:
        size: The length of the line in bytes.
        request_id: The id of the JSON-RPC message on the line, if an end of the line shows it; otherwise None.
    """

    size: int
    request_id: int | str | None


class Lines:
    """Splits a byte stream into lines, in a time that grows with the number of bytes alone.

    A line that is too long is never held in memory: its bytes are thrown away as they come.

    Args:
        max_bytes: The longest line in bytes, more than 0, without its end. A line of exactly this length is taken.

    Example:
        >>> lines = Lines(max_bytes=10)
        >>> lines.feed(b"one\\ntw"), lines.feed(b"o\\n")
        ([b'one'], [b'two'])
        >>> lines.feed(b"a line of more than ten bytes\\nnext\\n")
        [TooLong(size=29, request_id=None), b'next']
    """

    __slots__ = ("_head", "_max_bytes", "_parts", "_size", "_tail")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._head = self._tail = b""

    def feed(self, chunk: bytes) -> list[bytes | TooLong]:
        """Add bytes, and return the lines that they end."""
        lines: list[bytes | TooLong] = []
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._add(chunk[start:end])
            lines.append(self._take())
            start = end + 1
        self._add(chunk[start:])
        return lines

    def _add(self, piece: bytes) -> None:
        was_too_long = self._size > self._max_bytes
        self._size += len(piece)
        if self._size <= self._max_bytes:
            self._parts.append(piece)
            return
        if not was_too_long:
            whole = b"".join(self._parts)
            self._parts.clear()
            self._head, self._tail = (whole + piece[:_EDGE])[:_EDGE], whole[-_EDGE:]
        self._tail = (self._tail + piece[-_EDGE:])[-_EDGE:]

    def _take(self) -> bytes | TooLong:
        line: bytes | TooLong
        if self._size <= self._max_bytes:
            line = b"".join(self._parts)
        else:
            line = TooLong(self._size, _id_at_an_end(self._head, self._tail))
        self._parts.clear()
        self._size = 0
        self._head = self._tail = b""
        return line


def _id_at_an_end(head: bytes, tail: bytes) -> int | str | None:
    """Return the id of a message of which only both ends are known.

    The patterns are bound to the ends of the line, where nothing but a member of the message itself can stand.
    """
    match = _AT_THE_HEAD.match(head) or _BEFORE_THE_TAIL.search(tail) or _AT_THE_TAIL.search(tail)
    if match is None:
        return None
    return int(match["number"]) if match["number"] is not None else match["text"].decode(errors="replace")
