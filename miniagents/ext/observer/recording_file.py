"""The file of a recording: frames behind a magic line, each compressed alone, so that one which was cut off is readable
up to there.

A frame is a header, the numbers that it can be looked up by, and its content as msgpack, compressed. The header is the
kind (one byte), the time in seconds since the epoch, and the lengths of the two parts. A key frame has the whole state,
and a delta what has changed in the second since the frame before. A frame of a call has all of one interaction.
"""

import os
import struct
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from miniagents.errors import InvalidOptionError

MAGIC = b"MINIAGENTS RECORDING 1\n"
KEY, DELTA, CALL = b"K", b"D", b"C"
_HEADER = struct.Struct(">cdII")
_KINDS = (KEY, DELTA, CALL)
_COMPRESSION = 1
_encode = msgspec.msgpack.Encoder().encode


class Frame(NamedTuple):
    """The place of a frame in a file.

    Attributes:
        kind: KEY, DELTA or CALL.
        at: The time, in seconds since the epoch.
        tags: The numbers that it can be looked up by: those of the calls that it has.
        offset: The place of its content in the file.
        length: The bytes of its content, compressed.
    """

    kind: bytes
    at: float
    tags: "array[int]"
    offset: int
    length: int


def packed(kind: bytes, at: float, content: Any, tags: Iterable[int] = ()) -> bytes:
    """Return the bytes of a frame.

    Args:
        kind: KEY, DELTA or CALL.
        at: The time, in seconds since the epoch.
        content: Dicts, lists, texts and numbers.
        tags: The numbers that it can be looked up by.
    """
    numbers = array("Q", tags).tobytes()
    body = zlib.compress(_encode(content), _COMPRESSION)
    return _HEADER.pack(kind, at, len(numbers), len(body)) + numbers + body


class RecordingWriter:
    """Writes a recording. Its file belongs to its owner alone (0600) and has a bound: when it is full, its older half
    goes. The methods block, and are called one at a time.

    Args:
        path: The file. An older recording there is replaced, and no other file is.
        most_bytes: The most bytes of the file, 1 or more.

    Raises:
        InvalidOptionError: There is a file that is no recording.
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path = path
        self._most_bytes = most_bytes
        # O_NOFOLLOW: whoever may write to the folder must not lead the recording elsewhere by a link.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        self._file = os.fdopen(os.open(path, flags, 0o600), "r+b")
        try:
            start = self._file.read(len(MAGIC))
            if start and start != MAGIC:
                raise InvalidOptionError(f"record=: {path} is there, and is no recording: give another name")
            if hasattr(os, "fchmod"):  # not on Windows, where the folder of a user is closed to others
                os.fchmod(self._file.fileno(), 0o600)
            self._begin()
        except BaseException:
            self._file.close()
            raise

    def _begin(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(MAGIC)
        self._file.flush()
        self.bytes = len(MAGIC)

    def write(self, frames: list[bytes]) -> None:
        """Write frames, and throw the older half away if the file is full. The first one after that must be a key frame
        or come behind one that is kept."""
        for frame in frames:
            self._file.write(frame)
            self.bytes += len(frame)
        self._file.flush()
        if self.bytes > self._most_bytes:
            self._drop_older_half()

    def _drop_older_half(self) -> None:
        """Keep what is behind the first key frame of the younger half. The new file takes the place of the old one at
        once, so that a reader finds one of the two."""
        least = self.bytes - self._most_bytes // 2
        begin = next(
            (offset for frame, offset in _frames_in(self.path) if frame.kind == KEY and offset >= least),
            self.bytes,
        )
        beside = self.path.with_name(f"{self.path.name}.new")
        with suppress(FileNotFoundError):
            beside.unlink()
        younger = os.fdopen(os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")
        try:
            younger.write(MAGIC)
            self._file.seek(begin)
            while chunk := self._file.read(1 << 20):
                younger.write(chunk)
            younger.flush()
            beside.replace(self.path)
        except BaseException:
            younger.close()
            raise
        self._file.close()
        self._file = younger
        self.bytes = younger.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Recording:
    """A recording, to be read. It is looked through once, without its contents.

    Args:
        path: The file. It may grow and be cut meanwhile; this is the recording as it is now.

    Raises:
        InvalidOptionError: That is no recording, or has no frame yet.
        OSError: The file cannot be read.

    Attributes:
        begins: The time of the first frame, in seconds since the epoch.
        ends: The time of the last frame.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = self.path.open("rb")
        try:
            if self._file.read(len(MAGIC)) != MAGIC:
                raise InvalidOptionError(f"{path} is no recording of this version")
            frames = [frame for frame, _ in _frames_in(self.path)]
            self._states = [frame for frame in frames if frame.kind != CALL]
            if not self._states or self._states[0].kind != KEY:
                raise InvalidOptionError(f"{path} has no frame yet")
        except BaseException:
            self._file.close()
            raise
        self._calls = {number: frame for frame in frames if frame.kind == CALL for number in frame.tags}
        self.begins = self._states[0].at
        self.ends = self._states[-1].at

    def states(self, at: float) -> Iterator[tuple[float, bool, Any]]:
        """Return what leads to the state at a time: the key frame before it, and the deltas up to there.

        Args:
            at: The time, in seconds since the epoch.

        Returns:
            The time of each frame, True for a key frame, and its content.
        """
        last = max(
            (number for number, frame in enumerate(self._states) if frame.at <= at),
            default=0,
        )
        first = last
        while self._states[first].kind != KEY:
            first -= 1
        for frame in self._states[first : last + 1]:
            yield frame.at, frame.kind == KEY, self._content(frame)

    def call(self, number: int) -> Any | None:
        """Return the interaction that a call belongs to, or None.

        Args:
            number: The number of the call.
        """
        frame = self._calls.get(number)
        return self._content(frame) if frame is not None else None

    def _content(self, frame: Frame) -> Any:
        self._file.seek(frame.offset)
        return msgspec.msgpack.decode(zlib.decompress(self._file.read(frame.length)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _frames_in(path: Path) -> Iterator[tuple[Frame, int]]:
    """Return the frames of a file that are whole, each with the place of its header."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        offset = len(MAGIC)
        while True:
            file.seek(offset)
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return
            kind, at, tagged, length = _HEADER.unpack(header)
            content = offset + _HEADER.size + tagged
            if kind not in _KINDS or tagged % 8 or content + length > size:
                return  # the process was killed in the middle of a frame
            tags: array[int] = array("Q")
            tags.frombytes(file.read(tagged))
            yield Frame(kind, at, tags, content, length), offset
            offset = content + length
