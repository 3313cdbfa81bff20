"""Bare msgspec: the limit for messages. A frozen Struct of a known type, without checks, tags or free-form data."""

import hashlib
from typing import Any

import msgspec
from common import clock, main, note, unsupported


class Line(msgspec.Struct, frozen=True, dict=True):
    text: str
    number: int
    price: float
    tags: tuple[str, ...]


pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(Line).decode


def line(i: Any) -> Any:
    return Line("a line of an order", i, 9.5, ("new", "paid"))


@note("SHA-256 over the encoding, without a type in it")
def hash_key(n: int) -> tuple[Any, int]:
    lines = [line(i) for i in range(n)]
    t = clock()
    for one in lines:
        one.__dict__["key"] = hashlib.sha256(pack(one)).hexdigest()
    return clock() - t, n


@note("an entry of the instance's dict")
def hash_key_cached(n: int) -> tuple[Any, int]:
    one = line(1)
    one.__dict__["key"] = "key"
    t = clock()
    for _ in range(n):
        one.__dict__["key"]
    return clock() - t, n


def encode(n: int) -> tuple[Any, int]:
    lines = [line(i) for i in range(n)]
    t = clock()
    for one in lines:
        pack(one)
    return clock() - t, n


@note("into one known type")
def decode(n: int) -> tuple[Any, int]:
    lines = [pack(line(i)) for i in range(n)]
    t = clock()
    for one in lines:
        unpack(one)
    t = clock() - t
    assert unpack(lines[1]) == line(1)
    return t, n


DEFAULTS = dict(hash_key=100_000, hash_key_cached=500_000, encode=100_000, decode=100_000)

if __name__ == "__main__":
    main(
        "msgspec",
        "msgspec",
        dict(
            hash_key=hash_key, hash_key_cached=hash_key_cached, encode=encode, decode=decode,
            **unsupported("no promises of messages", "flatten"),
        ),
        DEFAULTS,
        loops=(),
    )  # fmt: skip
