"""What code hears that uses an agent like one of another library."""

import re
from typing import Any

import pytest

from miniagents import ActorSystem, InteractionContext, InvalidOptionError, MiniAgents, gather, miniagent
from miniagents.agents.misuse import OTHER_NAMES


@miniagent
async def greeter(ctx: InteractionContext, greeting: str = "Hello") -> None:
    ctx.reply(f"{greeting}, {await ctx.message_promises}!")


@miniagent
class Counter:
    async def __call__(self, ctx: InteractionContext) -> None:
        ctx.reply("1")


@pytest.mark.parametrize("agent", [greeter, greeter.fork(greeting="Hi"), Counter], ids=["function", "fork", "class"])
async def test_an_agent_that_is_called_or_awaited_names_inquire(agent: Any) -> None:
    with pytest.raises(TypeError, match=rf"agent {agent.alias}: is not called like a function; .*inquire\(.*fork\("):
        agent("Ada")
    with pytest.raises(TypeError, match=rf"agent {agent.alias}: cannot be awaited itself; .*inquire\("):
        await agent


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_the_methods_of_other_libraries_are_no_methods_of_an_agent_and_their_errors_name_inquire(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"agent greeter: has no {name}\(\); .*agent\.inquire\("):
        getattr(greeter, name)
    assert not hasattr(greeter, name)
    assert not hasattr(type(greeter), name)
    assert name not in dir(greeter)


def test_an_agent_shows_its_own_methods_in_dir() -> None:
    assert {"inquire", "fork", "initiate_call", "alias"} <= set(dir(greeter))


async def test_an_agent_where_a_promise_belongs_fails_with_the_same_words() -> None:
    promise: Any = greeter
    with pytest.raises(TypeError, match="agent greeter: cannot be awaited itself"):
        async with MiniAgents():
            await gather(promise)


def test_an_agent_as_the_program_fails_with_the_same_words() -> None:
    program: Any = greeter
    with pytest.raises(TypeError, match=re.escape("agent greeter: cannot be awaited itself; write `await agent.inq")):
        MiniAgents().run(program)


def test_an_agent_is_no_function_for_an_option_that_takes_one() -> None:
    callback: Any = greeter
    with pytest.raises(InvalidOptionError, match=r"on_failure= must be a function or None, not <MiniAgent greeter>"):
        ActorSystem(on_failure=callback)
