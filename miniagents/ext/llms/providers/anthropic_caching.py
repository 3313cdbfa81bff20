"""`place_breakpoints`: where Anthropic's API caches a prompt.

A breakpoint caches all that stands before it: tools, then the system prompt, then the messages. The API takes four.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MOST = 4
"""The most breakpoints that the API takes."""

_FIELD = "cache_control"
_NOT_CACHED = ("thinking", "redacted_thinking")


def place_breakpoints(options: dict[str, Any]) -> None:
    """Place breakpoints where the next request of the same conversation finds them.

    They stand after the last turn, after the system prompt, after the tools, and after the turn of the user before the
    last one, from which a conversation may be continued in another way. Breakpoints of the user count and stay. If
    fewer than four are free, the last ones of this list are left out.

    Args:
        options: The parameters of the request, with its `tools`, `system` and `messages`. They are changed.
    """
    own = list(_own(options))
    free = MOST - len(own)
    # A longer time to live must not follow a shorter one.
    ttl = {"ttl": "1h"} if any(mark.get("ttl") == "1h" for mark in own) else {}
    mark = {_FIELD: {"type": "ephemeral", **ttl}}
    places: list[tuple[dict[str, Any], str]] = []
    turns: list[dict[str, Any]] = options.get("messages", [])
    users = [turn for turn in turns[:-1] if turn["role"] == "user"]
    if turns and _FIELD not in options:  # the parameter itself marks the last turn
        places.append((turns[-1], "content"))
    places.append((options, "system"))
    if options.get("tools"):
        places.append((options, "tools"))
    if users:
        places.append((users[-1], "content"))
    for holder, field in places:
        if free > 0 and _marked(holder, field, mark):
            free -= 1


def _own(options: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the breakpoints that the user has placed."""
    if options.get(_FIELD):
        yield options[_FIELD]
    contents = [turn.get("content") for turn in options.get("messages", ())]
    for blocks in (options.get("tools"), options.get("system"), *contents):
        yield from _marks_in(blocks)


def _marks_in(blocks: object) -> Iterator[Mapping[str, Any]]:
    if not isinstance(blocks, Iterable) or isinstance(blocks, (str, Mapping)):
        return
    for block in blocks:
        if isinstance(block, Mapping):
            if block.get(_FIELD):
                yield block[_FIELD]
            yield from _marks_in(block.get("content"))


def _marked(holder: dict[str, Any], field: str, mark: Mapping[str, Any]) -> bool:
    """Place a breakpoint after the last block of a field that can have one; return whether there is such a block."""
    value = holder.get(field)
    if isinstance(value, str):
        if not value.strip():
            return False
        holder[field] = [{"type": "text", "text": value, **mark}]
        return True
    blocks = list(value or ())
    for number in range(len(blocks) - 1, -1, -1):
        block = blocks[number]
        if block.get(_FIELD):
            return False  # the user's own
        if block.get("type") in _NOT_CACHED or block.get("defer_loading"):
            continue
        blocks[number] = {**block, **mark}
        holder[field] = blocks
        return True
    return False
