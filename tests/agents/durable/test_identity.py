"""The keys of arguments: equal in every process."""

from collections.abc import Callable
from typing import Any

import pytest

from miniagents import MiniAgent, MiniAgents, Secret, TextMessage, miniagent
from miniagents.agents.durable.identity import identity_of, key_of_arguments
from miniagents.errors import AgentArgumentError, UnencodableError
from tests.hash_seeds import printed

_PROGRAM = """
import json
from tests.agents.durable.test_identity import _key

print(_key({"names": frozenset({"ann", "bob", "cat"}), "parse": json.loads}))
"""


@miniagent
async def takes_anything(ctx: Any, thing: Any = None) -> None: ...


def _key(thing: object) -> str:
    """Return the key of an agent with a live argument."""
    agent: MiniAgent = takes_anything.fork(non_freezable_kwargs={"thing": thing})
    return identity_of(agent).arguments


def test_keys_are_equal_in_processes_with_other_hash_seeds() -> None:
    (key,) = {printed(_PROGRAM, seed) for seed in ("1", "2")}

    assert len(key) == 64


def test_the_order_of_arguments_does_not_count_and_their_values_do() -> None:
    first = key_of_arguments(takes_anything, {"a": 1, "b": [1, 2]})

    assert first == key_of_arguments(takes_anything, {"b": (1, 2), "a": 1})
    keys = [key_of_arguments(takes_anything, {"a": a}) for a in (1, 1.0, True, "1", None, (1,), {"a": 1})]
    assert len({first, *keys}) == 1 + len(keys)


def test_a_function_or_type_counts_by_its_name() -> None:
    assert _key(len) == _key(len) != _key(abs)
    assert _key(list[int]) == _key(list[int]) != _key(list[str])


def test_metadata_is_in_no_key_and_content_is() -> None:
    first, second = (TextMessage("x", metadata={"request": number}) for number in (1, 2))

    assert _key(first) == _key(second) != _key(TextMessage("y"))


def test_an_agent_counts_by_its_code_its_alias_and_its_arguments() -> None:
    @miniagent(alias="takes_anything")
    async def other(ctx: Any) -> None: ...

    agents = [takes_anything, other, takes_anything.fork(alias="another"), takes_anything.fork(thing=2)]

    assert len({_key(agent) for agent in agents}) == len(agents)
    assert _key(takes_anything.fork(thing=2)) == _key(takes_anything.fork(thing=2))


async def test_a_reference_counts_by_its_path() -> None:
    async with MiniAgents() as system:
        first, second = (system.spawn(takes_anything, name=name) for name in ("first", "second"))
    async with MiniAgents() as system:
        again = system.spawn(takes_anything, name="first")

    assert _key(first) == _key(again) != _key(second)


def test_what_has_no_encoding_is_refused() -> None:
    with pytest.raises(UnencodableError, match="the wire carries 64"):
        key_of_arguments(takes_anything, {"n": 2**70})


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


class Shared:
    """An object that forks share, and that no wire carries."""

    __miniagents_immutable__ = True


@pytest.mark.parametrize("thing", [Shared(), [Shared()], object()])
def test_an_object_without_a_key_is_refused_with_the_agent_the_argument_and_what_to_do(thing: Any) -> None:
    with pytest.raises(AgentArgumentError, match=r"agent takes_anything: the live argument thing= \(.*journal_key"):
        _key(thing)
