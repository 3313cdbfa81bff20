"""Random members of a gather and of its relatives, for properties in virtual time."""

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from miniagents.promising import Promise


class BoomError(Exception):
    """The failure of a member."""


@dataclass(frozen=True)
class Member:
    """What becomes of a promise, and when.

    Attributes:
        how: "value", "error" or "cancel".
        at: Seconds until then; 0 for a promise that has settled before.
        kind: "bare" for a promise that is settled from outside, "work" for one with a resolver, "lazy" for one that
            begins when it is wanted, "coroutine", "task" and "future" for an awaitable that is no promise.
    """

    how: str
    at: int
    kind: str


KINDS = ["bare", "work", "lazy"]


def members(*kinds: str) -> Any:
    """Members of these kinds."""
    return st.builds(
        Member, st.sampled_from(["value", "value", "error", "cancel"]), st.integers(0, 4), st.sampled_from(kinds)
    )


async def outcome(member: Member, number: int) -> int:
    """Return or fail as the member does."""
    if member.at:
        await asyncio.sleep(member.at)
    if member.how == "error":
        raise BoomError(number)
    if member.how == "cancel":
        raise asyncio.CancelledError
    return number


def made(member: Member, number: int) -> Any:
    """The awaitable of a member, which brings its number."""
    match member.kind:
        case "coroutine":
            return outcome(member, number)
        case "task":
            return asyncio.ensure_future(outcome(member, number))
        case "work" | "lazy":
            return Promise(lambda _: outcome(member, number), start_soon=member.kind == "work")
    promise: Promise[int] = Promise()

    def settle() -> None:
        match member.how:
            case "value":
                promise.resolve(number)
            case "error":
                promise.reject(BoomError(number))
            case _:
                promise.cancel()

    if member.at:
        asyncio.get_running_loop().call_later(member.at, settle)
    else:
        settle()
    return promise
