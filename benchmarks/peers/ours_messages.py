"""Messages of MiniAgents: flattening, hashes, the wire format."""

from typing import Any

from common import clock

from miniagents import Message, MessageSequence, MiniAgents, decode, encode


class Line(Message):
    """The message that is hashed and encoded: a short text and three numbers."""

    text: str
    number: int
    price: float
    tags: tuple[str, ...]


def line(i: Any) -> Any:
    return Line(text="a line of an order", number=i, price=9.5, tags=("new", "paid"))


def nested(n: int) -> Any:
    """n strings in lists of ten, in lists of ten, and so on."""
    level: list[Any] = [f"message {i}" for i in range(n)]
    while len(level) > 10:
        level = [level[i : i + 10] for i in range(0, len(level), 10)]
    return level


async def flatten(n: int) -> tuple[Any, int]:
    async with MiniAgents():
        items = nested(n)
        t = clock()
        seen = 0
        async for _ in MessageSequence.turn_into_sequence_promise(items):
            seen += 1
        t = clock() - t
        assert seen == n
        return t, n


async def hash_key(n: int) -> tuple[Any, int]:
    lines = [line(i) for i in range(n)]
    t = clock()
    for one in lines:
        one.hash_key
    return clock() - t, n


async def hash_key_cached(n: int) -> tuple[Any, int]:
    one = line(1)
    one.hash_key
    t = clock()
    for _ in range(n):
        one.hash_key
    return clock() - t, n


async def encoding(n: int) -> tuple[Any, int]:
    lines = [line(i) for i in range(n)]
    t = clock()
    for one in lines:
        encode(one)
    return clock() - t, n


async def decoding(n: int) -> tuple[Any, int]:
    lines = [encode(line(i)) for i in range(n)]
    t = clock()
    for one in lines:
        decode(one)
    t = clock() - t
    assert decode(lines[1]) == line(1)
    return t, n


WORKLOADS = dict(flatten=flatten, hash_key=hash_key, hash_key_cached=hash_key_cached, encode=encoding, decode=decoding)
