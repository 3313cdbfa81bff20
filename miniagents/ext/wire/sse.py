"""Server-sent events (text/event-stream): writing them, and reading them from bytes as they arrive."""

import msgspec

DONE = b"data: [DONE]\n\n"
"""The end of a stream of OpenAI's chat completions."""

PING = b": ping\n\n"
"""A comment, which keeps a connection open. Clients skip it."""

_BOM = b"\xef\xbb\xbf"
_MAX_STRAY = 65_536


def sse(data: object, event: str | None = None, event_id: str | None = None) -> bytes:
    """Return the bytes of one event.

    Args:
        data: The data, sent as JSON, which has no newlines.
        event: The type of the event, in one line; None for an event without a type.
        event_id: The id of the event, in one line; None for an event without an id.

    Example:
        >>> sse({"text": "Hello"}, "delta")
        b'event: delta\\ndata: {"text":"Hello"}\\n\\n'
    """
    head = (f"id: {event_id}\n" if event_id else "") + (f"event: {event}\n" if event else "")
    return b"%sdata: %s\n\n" % (head.encode(), msgspec.json.encode(data))


class EventDecoder:
    """A decoder of events, by the rules of the HTML standard.

    Events without data are left out: comments, ids and empty events only keep a connection open. In one point the
    decoder differs from the standard: `end` returns an event whose blank line is missing at the end of the stream.

    Attributes:
        stray: The first lines that are not fields of events, as long as there was no event. An error body that arrives
            in place of a stream is found here.

    Example:
        >>> decoder = EventDecoder()
        >>> decoder.feed(b"event: delta\\nda"), decoder.feed(b"ta: 1\\n\\n")
        ([], [('delta', b'1')])
    """

    __slots__ = ("_data", "_has_event", "_kind", "_rest", "_skips_newline", "stray")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._kind = ""
        self._skips_newline = False
        self._has_event = False
        self.stray = bytearray()

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """Decode the next bytes.

        Args:
            chunk: The bytes, cut anywhere.

        Returns:
            The type ("" for none) and the data of each event that is complete now.
        """
        if not chunk:
            return []
        if self._skips_newline:
            chunk = chunk.removeprefix(b"\n")
        events: list[tuple[str, bytes]] = []
        for line in chunk.splitlines(keepends=True):
            if line[-1] not in b"\r\n":
                self._rest += line  # only the last line can be incomplete
                break
            if self._rest:
                line = bytes(self._rest) + line
                self._rest.clear()
            self._line(line.rstrip(b"\r\n"), events)
        self._skips_newline = chunk.endswith(b"\r")  # "\r\n" may arrive in two halves
        return events

    def end(self) -> list[tuple[str, bytes]]:
        """Decode what is left at the end of the stream.

        Returns:
            The last event, if its blank line was missing.
        """
        events: list[tuple[str, bytes]] = []
        if self._rest:
            self._line(bytes(self._rest), events)
            self._rest.clear()
        self._line(b"", events)
        return events

    def _line(self, line: bytes, events: list[tuple[str, bytes]]) -> None:
        if not line:
            data, kind = b"\n".join(self._data), self._kind
            self._data.clear()
            self._kind = ""
            if data and not data.isspace():
                self._has_event = True
                events.append((kind, data))
            return
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            return
        name, _, value = line.removeprefix(_BOM).partition(b":")
        if name == b"event":
            self._kind = value.removeprefix(b" ").decode("utf-8", "replace")
        elif name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name not in (b"", b"id", b"retry") and not self._has_event and len(self.stray) < _MAX_STRAY:
            self.stray += line + b"\n"
