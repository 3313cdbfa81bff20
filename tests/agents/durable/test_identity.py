"""The keys of arguments: equal in every process."""

from collections.abc import Callable
from typing import Any

import pytest

from miniagents import MiniAgent, Secret, miniagent
from miniagents.agents.durable.identity import identity_of


@miniagent
async def takes_anything(ctx: Any, thing: Any = None) -> None: ...


def _key(thing: object) -> str:
    """Return the key of an agent with a live argument."""
    agent: MiniAgent = takes_anything.fork(non_freezable_kwargs={"thing": thing})
    return identity_of(agent).arguments


@pytest.mark.parametrize(
    ("make", "other"),
    [
        (lambda: ["a"].append, ["b"].append),
        (lambda: "a".upper, "a".lower),
        (lambda: dict.fromkeys, {}.pop),
    ],
    ids=["of an object", "of a text", "of a class"],
)
def test_a_builtin_method_enters_by_its_name_and_its_object(make: Callable[[], Any], other: Any) -> None:
    first = make()

    assert _key(first) == _key(make()) != _key(other)


def test_a_secret_in_a_set_is_in_no_key() -> None:
    assert _key(frozenset({Secret("one"), 1})) == _key(frozenset({Secret("two"), 1}))
    assert _key(frozenset({1})) != _key(frozenset({2})) != _key((2,))
