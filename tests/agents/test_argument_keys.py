"""Canonical keys of arguments."""

import subprocess
import sys
from pathlib import Path

import pytest

from miniagents import InteractionContext, Live, MiniAgents, Secret, TextMessage, miniagent
from miniagents.agents.argument_keys import agent_key, arguments_key
from miniagents.errors import UnencodableError

_PROGRAM = """
import json
from miniagents.agents.argument_keys import agent_key, arguments_key
from tests.agents.test_argument_keys import Client, reader

print(arguments_key({"names": frozenset({"ann", "bob", "cat"}), "parse": json.loads, "client": Client()}))
print(agent_key(reader.fork(depth=2, non_freezable_kwargs={"client": Client()})))
"""


class Client:
    """A live object: it cannot be frozen."""


@miniagent
async def reader(ctx: InteractionContext, depth: int = 1, client: Live[object] = None, api_key: str = "") -> None:
    ctx.reply(str(depth))


def test_keys_are_equal_in_processes_with_other_hash_seeds() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
        ).stdout
        for seed in ("1", "2")
    }

    assert len(outputs) == 1
    assert all(len(line) == 64 for line in outputs.pop().split())


def test_the_order_of_arguments_does_not_count_and_their_values_do() -> None:
    assert arguments_key({"a": 1, "b": [1, 2]}) == arguments_key({"b": (1, 2), "a": 1})
    keys = [arguments_key({"a": value}) for value in (1, 1.0, True, "1", None, (1,), {"a": 1})]
    assert len(set(keys)) == len(keys)


def test_a_live_object_counts_by_its_name_and_not_as_a_text_of_that_name() -> None:
    assert arguments_key({"client": Client()}) == arguments_key({"client": Client()})
    assert arguments_key({"client": Client()}) != arguments_key({"client": object()})
    assert arguments_key({"parse": len}) != arguments_key({"parse": "builtins:len"})
    assert arguments_key({"type": list[int]}) != arguments_key({"type": list[str]})


def test_secrets_are_in_no_key() -> None:
    assert agent_key(reader.fork(api_key="one")) == agent_key(reader.fork(api_key="two"))
    assert arguments_key({"keys": (Secret("one"), 1)}) == arguments_key({"keys": (Secret("two"), 1)})


def test_metadata_is_in_no_key_and_content_is() -> None:
    first, second = (TextMessage("x", metadata={"request": number}) for number in (1, 2))

    assert arguments_key({"m": first}) == arguments_key({"m": second})
    assert arguments_key({"m": first}) != arguments_key({"m": TextMessage("y")})


def test_agents_differ_by_code_alias_and_arguments() -> None:
    @miniagent(alias="reader")
    async def other(ctx: InteractionContext, depth: int = 1) -> None: ...

    agents = [reader, other, reader.fork(alias="another"), reader.fork(depth=2), reader.fork(client=Client())]
    keys = [agent_key(agent) for agent in agents]

    assert len(set(keys)) == len(keys)
    assert agent_key(reader.fork(depth=2)) == agent_key(reader.fork(depth=2))
    assert arguments_key({"agent": reader}) != arguments_key({"agent": reader.fork(depth=2)})


async def test_a_reference_counts_by_its_path() -> None:
    async with MiniAgents() as system:
        first, second = system.spawn(reader, name="first"), system.spawn(reader, name="second")
    async with MiniAgents() as system:
        again = system.spawn(reader, name="first")

    assert arguments_key({"to": first}) == arguments_key({"to": again})
    assert arguments_key({"to": first}) != arguments_key({"to": second})


def test_what_has_no_encoding_is_refused() -> None:
    with pytest.raises(UnencodableError, match="the wire carries 64"):
        arguments_key({"n": 2**70})
