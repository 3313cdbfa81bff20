"""Simulation: what a seed decides, what it finds, and what it says."""

import asyncio
import gc
import itertools
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import structlog

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    InteractionContext,
    Mailbox,
    Message,
    MiniAgents,
    Request,
    RetryPolicy,
    SpawnOptions,
    TextMessage,
    miniagent,
)
from miniagents.errors import (
    ActorStoppedError,
    InvalidOptionError,
    LLMError,
    PromiseCancelledError,
    SimulatedCrashError,
    SimulationError,
)
from miniagents.promising import Promise
from miniagents.testing import Script, ScriptedModel, Simulation, simulate

ROOT = Path(__file__).parents[2]


class Add(Message):
    n: int


class Get(Request[TextMessage]):
    pass


class Account(Actor):
    def __init__(self) -> None:
        self.value = 0

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        if isinstance(message, Add):
            self.value += message.n
        return TextMessage(str(self.value))


class Teller(Actor):
    """Reads, and then writes: the planted race."""

    def __init__(self, account: ActorRef) -> None:
        self.account = account

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        assert isinstance(message, Add)
        before = int(str(await self.account.ask(Get())))
        after = int(str(await self.account.ask(Add(message.n))))
        if after != before + message.n:
            raise ValueError(f"{before} + {message.n} gave {after}")
        return TextMessage("done")


async def race(sim: Simulation) -> None:
    async with ActorSystem() as system:
        account = system.spawn(Account)
        tellers = [system.spawn(Teller, account=account) for _ in range(2)]
        await asyncio.gather(*(teller.ask(Add(1)) for teller in tellers))


@miniagent
async def echo(ctx: InteractionContext) -> None:
    await asyncio.sleep(1)
    ctx.reply(ctx.message_promises)


def failure_of(program: Callable[[Simulation], Coroutine[Any, Any, object]], **options: Any) -> SimulationError:
    with pytest.raises(SimulationError) as caught:
        simulate(program, **options)
    return caught.value


def test_a_planted_race_is_found_and_its_seed_plays_the_same_steps_again() -> None:
    error = failure_of(race)

    again = failure_of(race, seeds=[error.seed])

    assert isinstance(error, AssertionError)
    assert isinstance(error.__cause__, ValueError)
    assert f"seed {error.seed}: ValueError: 0 + 1 gave 2" in str(error)
    assert f"simulate(program, seeds=[{error.seed}])" in str(error)
    assert error.trace == again.trace
    assert any("/Teller-1: turn with Add" in step for step in error.trace)


def test_a_program_without_a_fault_passes_with_every_seed() -> None:
    async def program(sim: Simulation) -> None:
        sim.disturb(delay=0.2)
        async with MiniAgents() as system:
            account = system.spawn(Account)
            await asyncio.gather(*(account.ask(Add(1)) for _ in range(5)), echo.inquire("Hi"))
            assert str(await account.ask(Get())) == "5"

    simulate(program, seeds=range(100))


TWO_PROCESSES = """
import asyncio
from tests.testing.test_simulation import failure_of, swarm
error = failure_of(swarm, seeds=[7])
print(len(error.trace), *error.trace, *error.disturbances, sep="\\n")
"""


async def swarm(sim: Simulation) -> None:
    """A bit of everything, and what fails at the end needs all of it."""
    sim.disturb(crash=0.05, cancel=0.05, delay=0.2, kill=0.02)
    async with MiniAgents() as system:
        group = system.group("accounts")
        for _ in range(3):
            group.join(system.spawn(Account, options=SpawnOptions(mailbox=Mailbox(capacity=1))))
        senders = [ref.send(Add(n)) for ref in group.members for n in range(4)]
        calls = [echo.inquire(f"{n}", timeout=sim.random.random() * 3) for n in range(6)]
        await asyncio.gather(*senders, *calls, return_exceptions=True)
        system.spawn(Account, name="dead").kill()
        await asyncio.sleep(0.1)
        for ref in group.members:
            await ref.kill()
            ref.tell(Add(1))  # a dead letter
    if len(sim.disturbances) > 3:
        sim.note(object())  # its address is another one each time
        raise ValueError("more than three disturbances")


def test_the_steps_are_the_same_in_another_process_whatever_its_hashes_are() -> None:
    outputs = []
    for hash_seed in ("1", "2", "random"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", TWO_PROCESSES],
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        )
        outputs.append(done.stdout)

    assert int(outputs[0].split("\n", 1)[0]) > 30
    assert outputs[0] == outputs[1] == outputs[2]


def test_what_a_failure_does_not_need_is_left_out() -> None:
    async def program(sim: Simulation) -> None:
        sim.disturb(crash=0.2, delay=0.2, cancel=0.2)
        async with ActorSystem() as system:
            account = system.spawn(Account)
            for _ in range(20):
                await asyncio.gather(account.ask(Add(1)), return_exceptions=True)
            if any(one.kind == "crash" for one in sim.disturbances):
                raise ValueError("an actor has crashed")

    error = failure_of(program)

    assert [one.kind for one in error.disturbances] == ["crash"]
    assert not any("before" in step for step in error.trace)  # nobody had its turn out of order


def test_an_order_that_a_failure_needs_is_kept() -> None:
    seen: list[str] = []

    class Named(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            seen.append(ctx.self.name)

    async def program(sim: Simulation) -> None:
        seen.clear()
        async with ActorSystem() as system:
            for name in ("a", "b", "c"):
                system.spawn(Named, name=name).tell(Add(1))
        assert seen != ["b", "a", "c"]

    error = failure_of(program)

    assert [step for step in error.trace if "before" in step] == ["0.000 /b: turn with Add, before 1 of 2 others"]


def test_another_failure_is_not_mistaken_for_the_one_that_was_found() -> None:
    async def program(sim: Simulation) -> None:
        sim.disturb(crash=0.3)
        async with ActorSystem() as system:
            account = system.spawn(Account)
            for _ in range(5):
                await asyncio.gather(account.ask(Add(1)), return_exceptions=True)
        if not sim.disturbances:
            raise KeyError("another one")
        raise ValueError("this one")

    error = failure_of(program)

    assert isinstance(error.__cause__, ValueError)
    assert "ValueError: this one" in str(error)
    assert len(error.disturbances) == 1


# What is left


async def leaves_a_promise(sim: Simulation) -> None:
    async with ActorSystem():
        sim.kept = Promise()  # type: ignore[attr-defined]


async def leaves_a_task(sim: Simulation) -> None:
    sim.kept = asyncio.create_task(asyncio.sleep(1e6))  # type: ignore[attr-defined]


async def leaves_a_timer(sim: Simulation) -> None:
    asyncio.get_running_loop().call_later(3.0, leaves_a_timer, sim)


async def leaves_an_actor(sim: Simulation) -> None:
    sim.kept = ActorSystem().activate()  # type: ignore[attr-defined]
    sim.kept.spawn(Account)  # type: ignore[attr-defined]


async def leaves_a_call(sim: Simulation) -> None:
    sim.kept = MiniAgents().activate()  # type: ignore[attr-defined]
    echo.inquire("Hi")
    await asyncio.sleep(0.5)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (leaves_a_promise, "a promise is pending: Promise"),
        (leaves_a_task, "a task is left: sleep, at "),
        (leaves_a_timer, "a timer is left: leaves_a_timer, in 3.000 s"),
        (leaves_an_actor, "an actor is alive: /Account-1"),
        (leaves_a_call, "a call has not ended: number 1 of /agents/echo"),
    ],
)
def test_what_is_left_is_reported(program: Any, said: str) -> None:
    error = failure_of(program)

    assert error.seed == 0
    assert "the program has ended, and leaves:" in str(error)
    assert said in str(error)


def test_what_the_event_loop_reports_is_a_failure() -> None:
    def fails() -> None:
        raise ValueError("in a callback")

    async def program(sim: Simulation) -> None:
        asyncio.get_running_loop().call_soon(fails)
        await asyncio.sleep(1)

    assert "the event loop reports" in str(failure_of(program))
    assert "ValueError('in a callback')" in str(failure_of(program))


def test_a_failure_of_the_runtime_itself_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from miniagents.actors.cells.actor_cell import ActorCell

    def fails(_: object) -> None:
        raise ValueError("of the runtime")

    async def program(sim: Simulation) -> None:
        monkeypatch.setattr(ActorCell, "cool_down", fails)
        async with ActorSystem() as system:
            system.spawn(Account)
            await asyncio.sleep(1)

    assert "runtime.turn_failed: /Account-1" in str(failure_of(program))


def test_a_program_that_does_not_end_is_reported_with_the_place_where_it_waits() -> None:
    async def waits_for_ever(sim: Simulation) -> None:
        await asyncio.get_running_loop().create_future()

    error = failure_of(waits_for_ever, until=60.0)

    assert "has not ended within 60.0 s; it is at" in str(error)
    assert "waits_for_ever, at " in str(error)


def test_a_program_that_turns_for_ever_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miniagents.testing.simulated_loop.MAX_TURNS", 1000)

    async def program(sim: Simulation) -> None:
        for _ in itertools.count():
            await asyncio.sleep(0)

    assert "the program makes no progress" in str(failure_of(program))


def test_a_cancellation_of_the_program_is_reported() -> None:
    async def program(sim: Simulation) -> None:
        raise asyncio.CancelledError

    assert "the program was cancelled" in str(failure_of(program))


# What is free


def test_each_order_of_ready_actors_and_of_waiting_senders_occurs() -> None:
    turns, sends = set(), set()

    class Named(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            order.append(ctx.self.name)

    class Slow(Actor):
        async def receive(self, message: Add, ctx: ActorContext) -> None:  # type: ignore[override]
            await asyncio.sleep(1)
            got.append(message.n)

    order: list[str] = []
    got: list[int] = []

    async def program(sim: Simulation) -> None:
        order.clear()
        got.clear()
        async with ActorSystem() as system:
            for name in ("a", "b", "c"):
                system.spawn(Named, name=name).tell(Add(1))
            slow = system.spawn(Slow, options=SpawnOptions(mailbox=Mailbox(capacity=1)))
            slow.tell(Add(0))
            await asyncio.sleep(0.5)
            slow.tell(Add(0))
            await asyncio.gather(*(slow.send(Add(n)) for n in (1, 2, 3)))
        turns.add("".join(order))
        sends.add(tuple(got))

    simulate(program, seeds=range(200))

    assert turns == {"".join(one) for one in itertools.permutations("abc")}
    assert sends == {(0, 0, *one) for one in itertools.permutations((1, 2, 3))}


def test_messages_of_one_sender_arrive_in_order() -> None:
    class Listener(Actor):
        def __init__(self) -> None:
            self.last = 0

        async def receive(self, message: Add, ctx: ActorContext) -> None:  # type: ignore[override]
            assert message.n == self.last + 1
            self.last = message.n

    async def program(sim: Simulation) -> None:
        sim.disturb(delay=0.3)
        async with ActorSystem() as system:
            listener = system.spawn(Listener, options=SpawnOptions(mailbox=Mailbox(capacity=3)))
            for n in range(1, 20):
                await listener.send(Add(n))

    simulate(program, seeds=range(100))


def test_random_numbers_are_those_of_the_seed_and_the_global_ones_are_put_back() -> None:
    drawn: list[tuple[float, float]] = []

    async def program(sim: Simulation) -> None:
        drawn.append((sim.random.random(), random.random()))

    before = random.getstate()
    simulate(program, seeds=[1, 2, 1])

    assert drawn[0] == drawn[2] != drawn[1]
    assert random.getstate() == before


def test_hours_pass_in_no_time() -> None:
    async def program(sim: Simulation) -> None:
        await asyncio.sleep(3600)
        assert sim.time() == 3600.0

    simulate(program, seeds=range(3))


def test_structlog_is_configured_afterwards_as_it_was() -> None:
    async def program(sim: Simulation) -> None:
        await asyncio.sleep(1)

    structlog.reset_defaults()
    simulate(program, seeds=range(1))
    assert not structlog.is_configured()

    structlog.configure()
    simulate(program, seeds=range(1))
    assert structlog.is_configured()
    structlog.reset_defaults()


def test_the_collector_is_as_it_was() -> None:
    async def program(sim: Simulation) -> None:
        assert not gc.isenabled()

    frozen = gc.get_freeze_count()

    simulate(program, seeds=range(2))

    assert gc.isenabled()
    assert abs(gc.get_freeze_count() - frozen) < 10_000  # nothing that was frozen meanwhile, but for a few objects


# What is disturbed


def seen_of(disturbances: dict[str, Any], seeds: int = 30) -> list[str]:
    """The outcomes of asks and calls in a program that is so disturbed."""
    outcomes: list[str] = []

    async def program(sim: Simulation) -> None:
        sim.disturb(**disturbances)
        async with MiniAgents() as system:
            account = system.spawn(Account)
            for outcome in await asyncio.gather(
                account.ask(Add(1)),
                account.ask(Add(1)),
                echo.inquire("Hi"),
                ScriptedModel.fork(script=Script("one two three"), retry=RetryPolicy(attempts=1)).inquire("Hi"),
                return_exceptions=True,
            ):
                outcomes.append(type(outcome).__name__)
                if isinstance(outcome, SimulatedCrashError):
                    assert outcome.path.startswith("/")

    simulate(program, seeds=range(seeds))
    return outcomes


def test_undisturbed_everything_succeeds() -> None:
    assert set(seen_of({})) == {"TextMessage", "Messages"}


@pytest.mark.parametrize(
    ("disturbances", "seen"),
    [
        ({"kill": 0.3}, ActorStoppedError),
        ({"crash": 0.3}, SimulatedCrashError),
        ({"cancel": 0.3}, PromiseCancelledError),
        ({"fault": 0.5}, LLMError),
    ],
)
def test_what_is_disturbed_fails_so(disturbances: dict[str, Any], seen: type[BaseException]) -> None:
    failed = {name for name in seen_of(disturbances) if name not in ("TextMessage", "Messages")}

    import miniagents.errors as errors

    assert failed
    assert all(issubclass(getattr(errors, name), seen) for name in failed), failed


def test_a_delay_puts_a_turn_off_and_fails_nobody() -> None:
    times = set()

    async def program(sim: Simulation) -> None:
        sim.disturb(delay=1.0)
        async with ActorSystem() as system:
            await system.spawn(Account).ask(Add(1))
        assert sim.time() > 0
        assert {one.kind for one in sim.disturbances} == {"delay"}
        times.add(sim.time())

    simulate(program, seeds=range(20))

    assert len(times) > 3


def test_only_what_is_under_the_path_is_disturbed() -> None:
    paths: set[str] = set()

    async def program(sim: Simulation) -> None:
        sim.disturb(crash=0.5, delay=0.5, under="/b")
        async with ActorSystem() as system:
            for name in ("a", "b", "bb"):
                await asyncio.gather(system.spawn(Account, name=name).ask(Get()), return_exceptions=True)
        paths.update(one.path for one in sim.disturbances)

    simulate(program, seeds=range(20))

    assert paths == {"/b"}


def test_notes_and_disturbances_stand_in_the_trace() -> None:
    async def program(sim: Simulation) -> None:
        sim.disturb(crash=1.0)
        sim.note("it begins")
        async with ActorSystem() as system:
            await system.spawn(Account).ask(Add(1))
        if sim.disturbances:
            raise ValueError

    error = failure_of(program)

    assert error.trace[0] == "0.000 it begins"
    assert any(step.endswith("/Account-1: crash, by the simulation") for step in error.trace)
    assert str(error.disturbances[0]) == "crash /Account-1"
    assert pickle.loads(pickle.dumps(error)).disturbances == error.disturbances


# What is refused


def test_what_makes_no_sense_is_refused() -> None:
    async def program(sim: Simulation) -> None:
        sim.disturb(kill=1.5)

    with pytest.raises(InvalidOptionError, match="until"):
        simulate(program, until=0)
    assert "disturb(kill=) is a probability from 0 to 1, not 1.5" in str(failure_of(program))


async def test_it_is_not_for_coroutines() -> None:
    with pytest.raises(RuntimeError, match="call it from a plain function"):
        simulate(race)


def test_a_program_that_depends_on_more_than_the_seed_is_told_so() -> None:
    runs = itertools.count()

    async def program(sim: Simulation) -> None:
        assert next(runs) != 2

    error = failure_of(program)

    assert error.seed == 2
    assert "Played again, it did not fail in the same way" in str(error)
