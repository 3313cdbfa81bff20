"""What telemetry costs where it is not turned on: nothing. Counted, not timed."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from miniagents import Actor, ActorContext, InteractionContext, Message, MiniAgents, TextMessage, miniagent
from miniagents.ext.telemetry import log_events
from miniagents.testing import Call, Reply, Script, ScriptedModel, VirtualTimeLoop
from tests.clocks import stopped_clock  # noqa: F401 - every test here has it
from tests.ext.telemetry.seen import Seen

N = 200


class Echo(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        return message


class Sender(Actor):
    """Sends N messages from inside, as actors do."""

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        echo = ctx.system.lookup("/echo")
        assert echo is not None
        for _ in range(N):
            echo.tell(message)
            await echo.ask(message)


@miniagent
async def parrot(ctx: InteractionContext) -> None:
    ctx.reply(ctx.message_promises)


async def add(a: int, b: int) -> int:
    return a + b


async def lean_messages(system: MiniAgents) -> None:
    system.spawn(Echo, name="echo")
    await system.spawn(Sender, name="sender").ask(TextMessage("a"))


async def messages_from_outside(system: MiniAgents) -> None:
    echo = system.spawn(Echo, name="echo")
    for _ in range(N):
        echo.tell(TextMessage("a"))
        await echo.send(TextMessage("a"))
        await echo.ask(TextMessage("a"))


async def agent_calls(system: MiniAgents) -> None:
    for _ in range(N):
        await parrot.inquire("Hi")


async def model_and_tool_calls(system: MiniAgents) -> None:
    for _ in range(N):
        script = Script(Reply(calls=(Call("add", {"a": 1, "b": 2}, id="1"),)), "three")
        await ScriptedModel.fork(script=script, tools=[add]).inquire("Hi")


Workload = Callable[[MiniAgents], Awaitable[None]]
WORKLOADS = [lean_messages, messages_from_outside, agent_calls, model_and_tool_calls]


def calls_of(workload: Workload, prepare: Callable[[MiniAgents], Any] = lambda _: None) -> int:
    """How many Python functions the workload calls."""
    calls = 0

    def profile(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_name not in ("__del__", "_remove")  # the collector's business

    async def main() -> None:
        async with MiniAgents() as system:
            await workload(system)  # what is done once has been done
            for child in ("echo", "sender"):
                ref = system.lookup(child)
                if ref is not None:
                    await ref.stop()
            prepare(system)
            gc.collect()
            gc.disable()
            sys.setprofile(profile)
            try:
                await workload(system)
            finally:
                sys.setprofile(None)
                gc.enable()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:  # no clock, so that a busy machine changes nothing
        runner.run(main())
    return calls


def same(one: int, other: int) -> bool:
    """Whether no message makes a difference."""
    return abs(one - other) < N // 4


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_system_that_is_not_seen_any_more_calls_as_many_functions_as_one_that_never_was(workload: Workload) -> None:
    def seen_for_a_moment(system: MiniAgents) -> None:
        Seen().instrument(system).uninstrument()
        log_events(system).close()

    assert same(calls_of(workload, seen_for_a_moment), calls_of(workload))


def test_a_message_between_actors_costs_nothing_where_telemetry_is_on_either() -> None:
    assert same(calls_of(lean_messages, lambda system: Seen().instrument(system)), calls_of(lean_messages))


def test_what_is_counted_can_be_more() -> None:
    assert calls_of(agent_calls, lambda system: Seen().instrument(system)) > calls_of(agent_calls) + N
