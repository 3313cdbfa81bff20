"""Frames: what travels between two nodes, in msgpack. A frame carries items; what an item says is for the links."""

from collections.abc import Iterator
from typing import Any

import msgspec

from miniagents.errors import DecodeError, MessageTooLargeError

PIECE = 0
"""The kind of an item that is a part of a larger one: [PIECE, number of the item, whether it is the last, bytes]."""

MAX_ITEM = 64 * 1024 * 1024
"""The largest item in bytes. What is larger belongs into a store, and a name of it into the message."""

PIECE_BYTES = 256 * 1024
"""The size of the parts of an item that is larger than this."""

FRAME_BYTES = 1024 * 1024
"""The size at which a frame takes no more items."""

pack = msgspec.msgpack.Encoder().encode
_unpack_item = msgspec.msgpack.Decoder(list[Any]).decode


class Frame(msgspec.Struct, array_like=True, frozen=True):
    """One frame from one life of a node to one life of another.

    Attributes:
        source: The name of the node that sends it.
        source_epoch: The epoch of that node.
        epoch: The epoch of the node that it is for.
        number: Its number among the frames from that source to that destination, from 1 on; 0 for a frame that carries
            nothing but the acknowledgement.
        ack: The number up to which the source has received all frames of the destination.
        items: The items, each one as msgpack.
    """

    source: str
    source_epoch: int
    epoch: int
    number: int
    ack: int
    items: list[msgspec.Raw]


_unpack = msgspec.msgpack.Decoder(Frame).decode


def encode_frame(frame: Frame) -> bytes:
    """Return a frame as bytes."""
    return pack(frame)


def decode_frame(data: bytes) -> Frame:
    """Return the frame that bytes are of.

    Raises:
        DecodeError: They are of none.
    """
    try:
        return _unpack(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"these bytes are not a frame: {error}") from error


def decode_item(data: "bytes | msgspec.Raw") -> list[Any]:
    """Return the parts of an item, the first of which is its kind.

    Raises:
        DecodeError: The bytes are of no item.
    """
    try:
        parts = _unpack_item(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"these bytes are not an item of a frame: {error}") from error
    if not parts or type(parts[0]) is not int:
        raise DecodeError("an item of a frame begins with the number of its kind")
    return parts


def check_size(data: bytes, what: str) -> None:
    """Refuse an item that is too large for a link.

    Args:
        data: The item.
        what: What it is, for the error: the path of the actor that it is for.

    Raises:
        MessageTooLargeError: It is larger than `MAX_ITEM`.
    """
    if len(data) > MAX_ITEM:
        raise MessageTooLargeError(
            f"{what}: a message of {len(data):,} bytes is larger than a link between nodes takes ({MAX_ITEM:,}); put "
            f"the data into a store that both nodes reach, and send its name",
            field="",
            size=len(data),
            limit=MAX_ITEM,
        )


def pieces_of(data: bytes, number: int) -> Iterator[bytes]:
    """Return the items that carry a large one in parts."""
    for begin in range(0, len(data), PIECE_BYTES):
        end = begin + PIECE_BYTES
        yield pack([PIECE, number, end >= len(data), data[begin:end]])


class Assembly:
    """Puts the parts of large items together again. One item is under way at a time, since parts come in order."""

    __slots__ = ("_number", "_parts", "_size")

    def __init__(self) -> None:
        self._number = -1
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, parts: list[Any]) -> bytes | None:
        """Take the next part. A part of another item replaces one whose sender has given it up.

        Args:
            parts: The parts of an item whose kind is `PIECE`.

        Returns:
            The whole item with its last part, None before.

        Raises:
            DecodeError: It is no part, or the whole is too large.
        """
        try:
            _, number, is_last, data = parts
        except ValueError:
            raise DecodeError("a part of an item has four fields") from None
        if type(number) is not int or type(data) is not bytes:
            raise DecodeError("a part of an item has a number and bytes")
        if number != self._number:
            self._number, self._parts, self._size = number, [], 0
        self._parts.append(data)
        self._size += len(data)
        if self._size > MAX_ITEM:
            self._parts = []
            raise DecodeError(f"an item of more than {MAX_ITEM:,} bytes")
        if not is_last:
            return None
        whole = b"".join(self._parts)
        self._number, self._parts, self._size = -1, [], 0
        return whole
