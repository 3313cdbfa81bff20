"""What a message costs, in things that can be counted: no clock, so that a busy machine changes nothing.

When a bound is passed, the test says the old and the new count. Raise a bound only with a reason, and in the same
commit as what needs it.
"""

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import miniagents
from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    InteractionContext,
    Message,
    MiniAgents,
    Observer,
    OneForOne,
    SpawnOptions,
    gather,
    miniagent,
)
from miniagents.ext.llms import ToolResultMessage
from miniagents.testing import Call, Fault, Reply, Script, ScriptedModel
from tests.clocks import stopped_clock  # noqa: F401 - every test here has it


class Number(Message):
    n: int


class Echo(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        return message


@miniagent
async def parrot(ctx: InteractionContext) -> None:
    ctx.reply(ctx.message_promises)


BOUNDS = {
    "Python calls per tell": 3.3,
    "Python calls per hop": 10.4,
    "Python calls per ask": 13.0,
    "Python calls per ask of many": 9.2,
    "Python calls per gathered ask": 6.5,
    "Python calls per gathered agent call": 63.0,
    "Python calls per agent call": 64.0,
    "Python calls per agent call of many": 60.5,
    "Python calls per crash": 84.0,
    "Python calls per stop": 34.1,
    "tasks per agent call": 0.01,
    "tasks per agent call of many": 0.01,
    "loop callbacks per tell": 0.01,
    "loop callbacks per hop": 0.01,
    "loop callbacks per ask": 0.01,
    "loop callbacks per ask of many": 0.01,
    "loop callbacks per gathered ask": 0.01,
    "loop callbacks per gathered agent call": 0.01,
    "loop callbacks per agent call": 0.01,
    "loop callbacks per agent call of many": 0.01,
    "loop callbacks per crash": 0.01,
    "Python calls per model call": 331.0,
    "Python calls per turn with a tool": 464.0,
    "Python calls per token": 31.5,
    "bytes per idle actor": 830.0,
    "bytes per idle agent": 1_165.0,
    "bytes per LLM agent at rest": 3_500.0,
    "bytes per run that waits after ten turns": 34_000.0,
}
"""At most so many, on any Python from 3.11 to 3.13. The calls are those of asyncio's loop, too."""

N = 2_000


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts its callbacks and tasks."""

    callbacks = 0
    tasks = 0

    def call_soon(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        self.callbacks += 1
        return super().call_soon(*args, **kwargs)

    def create_task(self, *args: Any, **kwargs: Any) -> Any:
        self.tasks += 1
        return super().create_task(*args, **kwargs)


async def tells(n: int) -> None:
    async with ActorSystem() as system:
        echo = system.spawn(Echo)
        await echo.ask(Number(n=0))
        note_counts()
        for number in range(n):
            echo.tell(Number(n=number))
        await echo.ask(Number(n=0))
        note_counts()


async def asks(n: int) -> None:
    async with ActorSystem() as system:
        echo = system.spawn(Echo)
        await echo.ask(Number(n=0))
        note_counts()
        for number in range(n):
            await echo.ask(Number(n=number))
        note_counts()


async def asks_of_many(n: int) -> None:
    async with ActorSystem() as system:
        echoes = [system.spawn(Echo) for _ in range(10)]
        for echo in echoes:
            await echo.ask(Number(n=0))
        note_counts()
        for _ in range(n // 100):
            for ask in [echoes[number % 10].ask(Number(n=number)) for number in range(100)]:
                await ask
        note_counts()


async def gathered_asks(n: int) -> None:
    async with ActorSystem() as system:
        echoes = [system.spawn(Echo) for _ in range(10)]
        for echo in echoes:
            await echo.ask(Number(n=0))
        note_counts()
        for _ in range(n // 100):
            await gather(*[echoes[number % 10].ask(Number(n=number)) for number in range(100)])
        note_counts()


class Hop(Actor):
    def __init__(self, others: list[ActorRef], done: asyncio.Event) -> None:
        self.others = others
        self.done = done

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        assert isinstance(message, Number)
        if message.n:
            self.others[message.n % 2].tell(Number(n=message.n - 1))
        else:
            self.done.set()


async def hops(n: int) -> None:
    async with ActorSystem() as system:
        done, others = asyncio.Event(), list[ActorRef]()
        others += [system.spawn(Hop, others=others, done=done) for _ in range(2)]
        await others[1].started()
        note_counts()
        others[0].tell(Number(n=n))
        await done.wait()
        note_counts()


class Fragile(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> None:
        raise ValueError


async def crashes(n: int) -> None:
    async with ActorSystem() as system:
        options = SpawnOptions(supervision=OneForOne(max_restarts=None))
        fragile = system.spawn(Fragile, options=options)
        await fragile.started()
        note_counts()
        for number in range(n):
            with pytest.raises(ValueError):  # noqa: PT011 - nothing else is raised
                await fragile.ask(Number(n=number))
        note_counts()


async def stops(n: int) -> None:
    async with ActorSystem() as system:
        refs = [system.spawn(Echo) for _ in range(n)]
        await refs[-1].started()
        note_counts()
        ends = [ref.stop() for ref in refs]
        for end in ends:
            await end
        note_counts()


async def agent_calls(n: int) -> None:
    async with MiniAgents():
        await parrot.inquire("warm")
        note_counts()
        for _ in range(n):
            await parrot.inquire("Hi")
        note_counts()


async def agent_calls_of_many(n: int) -> None:
    async with MiniAgents():
        await parrot.inquire("warm")
        note_counts()
        for _ in range(n // 100):
            for call in [parrot.inquire("Hi") for _ in range(100)]:
                await call
        note_counts()


async def gathered_agent_calls(n: int) -> None:
    async with MiniAgents():
        await parrot.inquire("warm")
        note_counts()
        for _ in range(n // 100):
            await gather(*[parrot.inquire("Hi") for _ in range(100)])
        note_counts()


async def spawns_with_options(n: int) -> None:
    options = SpawnOptions(handler_timeout=10.0)
    async with MiniAgents() as system:
        note_counts()
        for _ in range(n):
            await system.spawn(Echo, options=options).stop()
        note_counts()


_calls = 0
_seen: list[tuple[int, int, int]] = []


def note_counts() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, CountingLoop)
    _seen.append((_calls, loop.tasks, loop.callbacks))


def count(workload: Callable[[int], Awaitable[None]]) -> tuple[float, float, float]:
    """Python calls, tasks and loop callbacks per operation."""

    def profile(frame: Any, event: str, arg: Any) -> None:
        global _calls
        if event == "call":
            _calls += 1

    _seen.clear()
    gc.collect()  # what earlier workloads have left is none of the costs of this one
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        sys.setprofile(profile)
        try:
            runner.run(workload(N))  # type: ignore[arg-type]
        finally:
            sys.setprofile(None)
    (calls, tasks, callbacks), (calls_after, tasks_after, callbacks_after) = _seen
    return (calls_after - calls) / N, (tasks_after - tasks) / N, (callbacks_after - callbacks) / N


class TakesEverything(Observer):
    """Overrides every hook."""

    def outer_trace(self) -> object:
        return "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    def actor_ended(self, cell: Any) -> None:
        pass

    def interaction_started(self, interaction: Any) -> None:
        pass

    def interaction_ended(self, interaction: Any) -> None:
        pass


class FollowsCallsToTheirEnd(Observer):
    """Has the accounts of all calls kept, as a recorder does."""

    def interaction_over(self, account: Any) -> None:
        pass


class TakesTheEndsOfActors(Observer):
    """Overrides a hook that no message calls."""

    def actor_ended(self, cell: Any) -> None:
        pass


def check(name: str, value: float) -> None:
    bound = BOUNDS[name]
    assert value <= bound, f"{name}: at most {bound} so far, and {value:.2f} now"


WORKLOADS: dict[str, Callable[[int], Awaitable[None]]] = {
    "tell": tells,
    "hop": hops,
    "ask": asks,
    "ask of many": asks_of_many,
    "gathered ask": gathered_asks,
    "gathered agent call": gathered_agent_calls,
    "agent call": agent_calls,
    "agent call of many": agent_calls_of_many,
    "crash": crashes,
}


@pytest.mark.parametrize(("name", "workload"), WORKLOADS.items())
def test_a_message_costs_no_more_than_it_did(name: str, workload: Callable[[int], Awaitable[None]]) -> None:
    calls, tasks, callbacks = count(workload)
    check(f"Python calls per {name}", calls)
    check(f"loop callbacks per {name}", callbacks)
    if name.startswith("agent call"):
        check(f"tasks per {name}", tasks)
    else:
        assert tasks < 0.01


PACKAGE = Path(miniagents.__file__).parent
CLUSTER = tuple(str(PACKAGE / part) for part in ("cluster", "actors/cells/remote_cell.py", "ext/ray"))


@pytest.mark.parametrize("workload", [*WORKLOADS.values(), spawns_with_options])
def test_a_system_without_a_cluster_calls_nothing_of_one(workload: Callable[[int], Awaitable[None]]) -> None:
    asked = set[str]()

    def profile(frame: Any, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(CLUSTER):
            asked.add(frame.f_code.co_qualname)

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        sys.setprofile(profile)
        try:
            runner.run(workload(100))  # type: ignore[arg-type]
        finally:
            sys.setprofile(None)
    assert asked == set()


def test_the_end_of_an_idle_actor_costs_no_more_than_it_did() -> None:
    calls, tasks, _ = count(stops)
    check("Python calls per stop", calls)
    assert tasks < 0.01


def observed(workload: Callable[[int], Awaitable[None]], monkeypatch: pytest.MonkeyPatch, observer: Observer) -> float:
    """Python calls per operation of a workload whose system has the observer."""
    for kind in (ActorSystem, MiniAgents):

        def init(self: Any, *args: Any, _init: Any = kind.__init__, **options: Any) -> None:
            _init(self, *args, **options)
            self.observers.attach(observer)

        monkeypatch.setattr(kind, "__init__", init)
    return count(workload)[0]


@pytest.mark.parametrize(("name", "workload"), WORKLOADS.items())
def test_an_observer_of_everything_adds_two_calls_to_a_message_at_most(
    name: str, workload: Callable[[int], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _, _ = count(workload)
    calls = observed(workload, monkeypatch, TakesEverything())
    assert calls <= plain + 2.1, f"{name}: {plain:.2f} calls without an observer, {calls:.2f} with one"


@pytest.mark.parametrize(("name", "workload"), WORKLOADS.items())
def test_who_follows_calls_to_their_end_adds_two_calls_to_a_message_at_most(
    name: str, workload: Callable[[int], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _, _ = count(workload)
    calls = observed(workload, monkeypatch, FollowsCallsToTheirEnd())
    added = 2.1 if "agent call" in name else 0.02
    assert calls <= plain + added, f"{name}: {plain:.2f} calls without an observer, {calls:.2f} with one"


@pytest.mark.parametrize(("name", "workload"), WORKLOADS.items())
def test_an_observer_adds_nothing_to_a_message_whose_hooks_it_does_not_override(
    name: str, workload: Callable[[int], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _, _ = count(workload)
    calls = observed(workload, monkeypatch, TakesTheEndsOfActors())
    assert calls <= plain + 0.02, f"{name}: {plain:.2f} calls without an observer, {calls:.2f} with one"


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name != "crash"])
def test_who_follows_the_tree_adds_nothing_to_a_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workload, activate = WORKLOADS[name], ActorSystem.activate
    plain, _, _ = count(workload)

    def followed(system: ActorSystem) -> ActorSystem:
        activate(system)
        system.tree(cursor="")
        return system

    monkeypatch.setattr(ActorSystem, "activate", followed)
    calls, _, _ = count(workload)
    assert calls <= plain + 0.02, f"{name}: {plain:.2f} calls, {calls:.2f} while somebody follows the tree"


async def look_up(number: int) -> str:
    """Look up a number."""
    return "42"


class Turns(Script):
    """Calls the tool a number of times and then answers, in each conversation anew; keeps no requests.

    Args:
        turns: The number of turns with a call of the tool.
        last: The last reply.
    """

    def __init__(self, turns: int, last: Reply) -> None:
        super().__init__()
        self.turns = turns
        self.last = last
        self.missing = 0
        self.all_wait: asyncio.Event | None = None

    async def wait_for(self, runs: int) -> None:
        """Wait until so many runs have asked for their last reply."""
        self.missing = runs
        self.all_wait = asyncio.Event()
        await self.all_wait.wait()

    def next(self, request: Any) -> Reply:
        turn = sum(isinstance(message, ToolResultMessage) for message in request.messages)
        if turn < self.turns:
            return Reply(calls=(Call("look_up", {"number": turn}),))
        self.missing -= 1
        if self.all_wait is not None and not self.missing:
            self.all_wait.set()
        return self.last


async def model_calls(n: int) -> None:
    async with MiniAgents():
        agent = ScriptedModel.fork(script=Turns(0, Reply("ok")), system="Be brief.")
        await agent.inquire("warm")
        note_counts()
        for _ in range(n):
            await agent.inquire("Hi")
        note_counts()


async def turns_with_a_tool(n: int) -> None:
    async with MiniAgents():
        agent = ScriptedModel.fork(script=Turns(10, Reply("ok")), system="Be brief.", tools=(look_up,))
        await agent.inquire("warm")
        note_counts()
        for _ in range(n // 10):
            await agent.inquire("Hi")
        note_counts()


async def tokens(n: int) -> None:
    async with MiniAgents():
        agent = ScriptedModel.fork(script=Turns(0, Reply(["token "] * n)))
        await agent.inquire("warm")
        note_counts()
        await agent.inquire("Hi")
        note_counts()


LLM_WORKLOADS: dict[str, Callable[[int], Awaitable[None]]] = {
    "model call": model_calls,
    "turn with a tool": turns_with_a_tool,
    "token": tokens,
}


@pytest.mark.parametrize(("name", "workload"), LLM_WORKLOADS.items())
def test_what_a_model_says_costs_no_more_than_it_did(name: str, workload: Callable[[int], Awaitable[None]]) -> None:
    calls, _, _ = count(workload)
    check(f"Python calls per {name}", calls)


async def traced_bytes(make: Callable[[int], Awaitable[object]], n: int) -> float:
    """Return the bytes that each of `n` things takes; `make` gets the number of things and keeps them alive."""
    kept = [await make(10)]
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept.append(await make(n))
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / n
    finally:
        tracemalloc.stop()


async def test_an_agent_with_a_model_takes_no_more_memory_at_rest_than_it_did() -> None:
    async def called(n: int) -> object:
        # Without an idle timeout, since asyncio keeps timers that were cancelled for a while.
        agents = [
            ScriptedModel.fork(script=Turns(0, Reply("ok")), system=f"You are agent {i}.", idle_timeout=None)
            for i in range(n)
        ]
        for agent in agents:
            await agent.inquire("Hi")
        return agents

    async with MiniAgents():
        check("bytes per LLM agent at rest", await traced_bytes(called, 500))


async def test_a_run_that_waits_for_its_last_reply_takes_no_more_memory_than_it_did() -> None:
    script = Turns(10, Reply(fault=Fault.STALL))
    agent = ScriptedModel.fork(script=script, system="You are an agent.", tools=(look_up,))
    runs = list[Any]()

    async def waiting(n: int) -> object:
        runs.extend(agent.inquire("Hi") for _ in range(n))
        await script.wait_for(n)
        return None

    async with MiniAgents():
        check("bytes per run that waits after ten turns", await traced_bytes(waiting, 200))
        for run in runs:
            run.cancel()


@pytest.mark.parametrize(("name", "kind", "n"), [("actor", Echo, 20_000), ("agent", parrot, 2_000)])
async def test_who_is_idle_takes_no_more_memory_than_it_did(name: str, kind: Any, n: int) -> None:
    async with MiniAgents() as system:
        warm = [system.spawn(kind) for _ in range(100)]
        await asyncio.sleep(0)
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            spawned = [system.spawn(kind) for _ in range(n)]
            await asyncio.sleep(0)
            gc.collect()
            used = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert len(warm) + len(spawned) == n + 100
        check(f"bytes per idle {name}", used / n)
