"""The cases of OTP's own supervisor_SUITE; SUPERVISOR_SUITE.md says which is which."""

import asyncio
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    AutoShutdown,
    Backoff,
    ChildSpec,
    IgnoreStart,
    OneForAll,
    OneForOne,
    Restart,
    RestForOne,
    Shutdown,
    SimpleOneForOne,
    StopReason,
    Supervisor,
    SupervisorRef,
)
from miniagents.errors import (
    AlreadyPresentError,
    AlreadyStartedError,
    ChildNotFoundError,
    ChildRestartingError,
    ChildRunningError,
    InvalidOptionError,
    SimpleOneForOneError,
    StartError,
    SupervisorError,
)
from tests.actors.actors import Counter, Crash, Hold, Read, turns


class Plan(Actor):
    """Goes through what its plan says, one outcome for each start, and then starts well."""

    def __init__(self, plan: list[Any] | None = None, log: list[str] | None = None) -> None:
        self.plan = plan if plan is not None else []
        self.log = log if log is not None else []

    async def on_start(self, ctx: ActorContext) -> None:
        outcome = self.plan.pop(0) if self.plan else "ok"
        if outcome == "ignore":
            raise IgnoreStart
        if outcome == "fail":
            raise OSError("planned")
        if outcome == "hang":
            await asyncio.sleep(10**6)
        self.log.append(f"start {ctx.self.name}")

    async def on_stop(self, reason: Any) -> None:
        self.log.append(f"stop {self.ctx.self.name}")

    async def receive(self, message: Any, ctx: ActorContext) -> None:
        if isinstance(message, Crash):
            if message.text in ("normal", "shutdown"):
                ctx.stop(reason=StopReason(message.text))
            else:
                raise ValueError(message.text)
        if isinstance(message, Hold):
            await asyncio.sleep(10**6)


def spec(id: str, *, plan: list[Any] | None = None, log: list[str] | None = None, **options: Any) -> ChildSpec:
    return ChildSpec(id, Plan, kwargs={"plan": plan, "log": log}, **options)


async def up(system: ActorSystem, *children: ChildSpec, name: str = "sup", **options: Any) -> SupervisorRef:
    options.setdefault("strategy", OneForOne(max_restarts=2, within=3600.0))
    owner = system.lookup("/owner") or system.spawn(Counter, name="owner")
    return await system.supervise(Supervisor(name, children=children, **options), parent=owner)


async def crash(system: ActorSystem, id: str, how: str = "crash", sup: str = "sup") -> None:
    ref = system.lookup(f"/owner/{sup}/{id}")
    assert ref is not None
    ref.tell(Crash(how))
    await turns(100)


async def ids(sup: SupervisorRef) -> list[tuple[str | None, bool]]:
    return [(child.id, child.ref is not None) for child in await sup.which_children()]


async def counts(sup: SupervisorRef) -> tuple[int, int, int, int]:
    found = await sup.count_children()
    return (found.specs, found.active, found.supervisors, found.workers)


# Starts


async def test_a_supervisor_starts_and_is_ended() -> None:
    async with ActorSystem() as system:
        sup = await up(system)
        assert await counts(sup) == (0, 0, 0, 0)
        assert await sup.stop() is StopReason.SHUTDOWN


async def test_an_ignored_child_keeps_its_specification() -> None:
    async with ActorSystem() as system:
        sup = await up(system)
        assert await sup.start_child(spec("child1", plan=["ignore"])) is None
        assert await sup.start_child(spec("child2")) is not None
        assert await ids(sup) == [("child2", True), ("child1", False)]
        assert await counts(sup) == (2, 1, 0, 2)


async def test_an_ignored_temporary_child_keeps_nothing() -> None:
    async with ActorSystem() as system:
        sup = await up(system, spec("child1", plan=["ignore"], restart=Restart.TEMPORARY), spec("child2"))
        assert await ids(sup) == [("child2", True)]
        assert await sup.start_child(spec("child3", plan=["ignore"], restart=Restart.TEMPORARY)) is None
        assert await counts(sup) == (1, 1, 0, 1)


@pytest.mark.parametrize("restart", [Restart.TEMPORARY, Restart.PERMANENT])
async def test_an_ignored_dynamic_child_keeps_nothing(restart: Restart) -> None:
    async with ActorSystem() as system:
        plan = ["ignore"]
        sup = await up(system, spec("t", plan=plan, restart=restart), strategy=SimpleOneForOne())
        assert await sup.start_child() is None
        assert await sup.start_child() is not None
        assert await counts(sup) == (1, 1, 0, 1)
        assert await sup.stop() is StopReason.SHUTDOWN


async def test_a_child_that_fails_to_start_stops_those_before_it() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        with pytest.raises(StartError) as info:
            await up(system, spec("a", log=log), spec("b", plan=["fail"], log=log), spec("c", log=log))
        assert info.value.child_id == "b"
        assert log == ["start a", "stop a"]


def test_the_defaults_of_a_child_specification_are_otps() -> None:
    worker, sup = ChildSpec("w", Plan), ChildSpec("s", Supervisor("s"))
    assert (worker.restart, worker.shutdown, worker.significant) == (Restart.PERMANENT, 5.0, False)
    assert sup.shutdown is Shutdown.FOREVER
    default = Supervisor("s").strategy
    assert (type(default), default.max_restarts, default.within) == (OneForOne, 1, 5.0)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: ChildSpec("", Plan),
        lambda: ChildSpec("a/b", Plan),
        lambda: ChildSpec("a", 5),  # type: ignore[arg-type]
        lambda: ChildSpec("a", Plan, restart="permanent"),  # type: ignore[arg-type]
        lambda: ChildSpec("a", Plan, shutdown=-1.0),
        lambda: ChildSpec("a", Plan, significant=True),
        lambda: Supervisor("s", children=["child4"]),  # type: ignore[list-item]
        lambda: Supervisor("s", children=[spec("a"), spec("a")]),
        lambda: Supervisor("s", children=[spec("a", restart=Restart.TRANSIENT, significant=True)]),
        lambda: Supervisor("s", strategy=SimpleOneForOne()),
        lambda: OneForOne(max_restarts=-1),
        lambda: OneForOne(within=0.0),
        lambda: Backoff(0.0, 1.0),
        lambda: Backoff(1.0, 0.5),
    ],
)
def test_a_faulty_specification_is_refused_with_what_is_wrong(bad: Any) -> None:
    with pytest.raises(InvalidOptionError):
        bad()


# Stops


async def test_a_child_with_no_limit_is_waited_for() -> None:
    async with ActorSystem() as system:
        gate = asyncio.Event()
        child = ChildSpec("c", Counter, shutdown=Shutdown.FOREVER, kwargs={"gate": gate})
        sup = await up(system, child)
        ref = system.lookup("/owner/sup/c")
        assert ref is not None
        ref.tell(Hold())
        await turns()
        ended = sup.stop()
        await asyncio.sleep(1000)
        assert ref.is_alive
        gate.set()
        await ended
        assert not ref.is_alive


async def test_a_child_that_outlives_its_shutdown_seconds_is_cancelled() -> None:
    async with ActorSystem() as system:
        sup = await up(system, spec("a", shutdown=1.0))
        ref = system.lookup("/owner/sup/a")
        assert ref is not None
        ref.tell(Hold())
        await turns()
        began = system.time()
        await sup.stop()
        assert system.time() - began == pytest.approx(1.0)


async def test_a_child_to_be_killed_gets_no_grace() -> None:
    async with ActorSystem() as system:
        sup = await up(system, spec("a", shutdown=Shutdown.KILL))
        ref = system.lookup("/owner/sup/a")
        assert ref is not None
        ref.tell(Hold())
        await turns()
        began = system.time()
        await sup.stop()
        assert system.time() == began


# Child administration


async def test_children_are_administered_with_otps_answers_and_errors() -> None:
    async with ActorSystem() as system:
        sup = await up(system, spec("c"))
        with pytest.raises(AlreadyStartedError) as started:
            await sup.start_child(spec("c"))
        assert started.value.ref is system.lookup("/owner/sup/c")
        with pytest.raises(ChildRunningError):
            await sup.restart_child("c")
        with pytest.raises(ChildRunningError):
            await sup.delete_child("c")
        old = system.lookup("/owner/sup/c")
        await sup.terminate_child("c")
        await sup.terminate_child("c")  # again is harmless
        assert await ids(sup) == [("c", False)]
        with pytest.raises(AlreadyPresentError):
            await sup.start_child(spec("c"))
        new = await sup.restart_child("c")
        assert new != old
        assert old is not None
        assert not old.is_alive
        await sup.terminate_child("c")
        await sup.delete_child("c")
        assert await counts(sup) == (0, 0, 0, 0)
        for call in (sup.terminate_child, sup.restart_child, sup.delete_child):
            with pytest.raises(ChildNotFoundError) as missing:
                await call("c")
            assert isinstance(missing.value, SupervisorError)
            assert missing.value.reason == "not_found"


async def test_dynamic_children_are_administered_by_their_refs() -> None:
    async with ActorSystem() as system:
        sup = await up(system, spec("t"), strategy=SimpleOneForOne())
        first, second = await sup.start_child(), await sup.start_child()
        assert first is not None
        assert second is not None
        assert await ids(sup) == [(None, True), (None, True)]
        for call in (sup.terminate_child, sup.restart_child, sup.delete_child):
            with pytest.raises(SimpleOneForOneError):
                await call("t")
        await sup.terminate_child(first)
        await sup.terminate_child(first)
        assert await counts(sup) == (1, 1, 0, 1)


async def test_a_child_that_fails_to_start_later_keeps_nothing() -> None:
    async with ActorSystem() as system:
        sup = await up(system)
        with pytest.raises(StartError):
            await sup.start_child(spec("c", plan=["fail"]))
        assert await counts(sup) == (0, 0, 0, 0)


async def test_a_child_that_is_to_be_restarted_is_said_to_be_restarting() -> None:
    async with ActorSystem() as system:
        sup = await up(system, spec("c"), strategy=OneForOne(max_restarts=9, backoff=Backoff(10.0, 10.0)))
        await crash(system, "c")
        (child,) = await sup.which_children()
        assert child.ref == "restarting"
        assert system.tree("/owner/sup/c").state == "restarting"
        ref = system.lookup("/owner/sup/c")
        assert ref is not None
        assert ref.is_alive
        with pytest.raises(ChildRestartingError):
            await sup.restart_child("c")
        with pytest.raises(ChildRestartingError):
            await sup.delete_child("c")
        await asyncio.sleep(11)
        assert await counts(sup) == (1, 1, 0, 1)


# Restart types


@pytest.mark.parametrize(
    ("restart", "how", "after"),
    [
        (Restart.PERMANENT, "normal", [("c", True)]),
        (Restart.TRANSIENT, "normal", [("c", False)]),
        (Restart.TEMPORARY, "normal", []),
        (Restart.PERMANENT, "shutdown", [("c", True)]),
        (Restart.TRANSIENT, "shutdown", [("c", False)]),
        (Restart.TEMPORARY, "shutdown", []),
        (Restart.PERMANENT, "abnormal", [("c", True)]),
        (Restart.TRANSIENT, "abnormal", [("c", True)]),
        (Restart.TEMPORARY, "abnormal", []),
    ],
)
async def test_the_restart_type_answers_the_end(restart: Restart, how: str, after: list[Any]) -> None:
    async with ActorSystem() as system:
        sup = await up(system, spec("c", restart=restart))
        await crash(system, "c", how)
        assert await ids(sup) == after


@pytest.mark.parametrize("strategy", [OneForAll, RestForOne])
async def test_a_temporary_bystander_goes_with_its_siblings(strategy: Any) -> None:
    async with ActorSystem() as system:
        sup = await up(system, spec("a"), spec("b", restart=Restart.TEMPORARY), strategy=strategy(max_restarts=2))
        await crash(system, "a")
        assert await ids(sup) == [("a", True)]


# Strategies


@pytest.mark.parametrize(("strategy", "restarted"), [(OneForOne, "b"), (OneForAll, "abc"), (RestForOne, "bc")])
async def test_a_strategy_restarts_its_group_in_order(strategy: Any, restarted: str) -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        await up(system, *(spec(id, log=log) for id in "abc"), strategy=strategy(max_restarts=2))
        log.clear()
        await crash(system, "b")
        stops = ["stop b", *(f"stop {id}" for id in reversed(restarted) if id != "b")]
        assert log == [*stops, *(f"start {id}" for id in restarted)]


@pytest.mark.parametrize("strategy", [OneForOne, OneForAll, RestForOne])
async def test_one_restart_too_many_ends_the_supervisor_and_its_children(strategy: Any) -> None:
    async with ActorSystem() as system:
        sup = await up(system, spec("a"), spec("b"), strategy=strategy(max_restarts=1))
        await crash(system, "a")
        assert sup.is_alive
        await crash(system, "a")
        assert await sup.terminated() is StopReason.SHUTDOWN
        assert system.lookup("/owner/sup/b") is None


@pytest.mark.parametrize("strategy", [OneForAll, RestForOne])
async def test_another_child_that_fails_its_restart_counts_and_is_tried_again(strategy: Any) -> None:
    async with ActorSystem() as system:
        sup = await up(system, spec("a"), spec("b", plan=["ok", "fail"]), strategy=strategy(max_restarts=2))
        await crash(system, "a")
        assert await ids(sup) == [("b", True), ("a", True)]
        await crash(system, "a")
        assert await sup.terminated() is StopReason.SHUTDOWN


async def test_a_dynamic_child_is_restarted_with_its_own_arguments_and_escalates() -> None:
    async with ActorSystem() as system:
        template = ChildSpec("t", Counter)
        sup = await up(system, template, strategy=SimpleOneForOne(max_restarts=1))
        ref = await sup.start_child(start=42)
        assert ref is not None
        ref.tell(Crash())
        await turns(100)
        assert (await ref.ask(Read())).value == 42
        ref.tell(Crash())
        assert await sup.terminated() is StopReason.SHUTDOWN


async def test_the_boundary_of_the_window_counts_and_beyond_it_does_not() -> None:
    async with ActorSystem() as system:
        for pause, lives in ((5.0, False), (5.1, True)):
            sup = await up(system, spec("c"), name=f"sup{pause}", strategy=OneForOne(max_restarts=1, within=5.0))
            await crash(system, "c", sup=f"sup{pause}")
            await asyncio.sleep(pause)
            await crash(system, "c", sup=f"sup{pause}")
            assert sup.is_alive is lives


# Nesting, scale, automatic shutdown, hanging starts


async def test_supervisors_nest_and_count_as_supervisors() -> None:
    async with ActorSystem() as system:
        inner = ChildSpec("inner", Supervisor("inner", children=[spec("w")]))
        sup = await up(system, inner, spec("v"))
        assert await counts(sup) == (2, 2, 1, 1)
        for _ in range(2):  # one restart more than the inner one takes: it gives up, and the outer one restarts it
            ref = system.lookup("/owner/sup/inner/w")
            assert ref is not None
            ref.tell(Crash())
            await turns(100)
        assert await counts(sup) == (2, 2, 1, 1)
        assert sup.is_alive
        assert system.tree("/owner/sup/inner").restarts == 1


async def test_many_temporary_dynamic_children_come_and_go() -> None:
    async with ActorSystem() as system:
        sup = await up(system, spec("t", restart=Restart.TEMPORARY), strategy=SimpleOneForOne())
        for _ in range(10):
            refs = [await sup.start_child() for _ in range(100)]
            for ref in refs:
                assert ref is not None
                await ref.stop()
        await turns(50)
        assert await counts(sup) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("auto", "ended", "lives"),
    [
        (AutoShutdown.NEVER, ["a", "b"], True),
        (AutoShutdown.ANY_SIGNIFICANT, ["a"], False),
        (AutoShutdown.ALL_SIGNIFICANT, ["a"], True),
        (AutoShutdown.ALL_SIGNIFICANT, ["a", "b"], False),
    ],
)
async def test_significant_children_that_end_by_themselves_end_the_supervisor(
    auto: AutoShutdown, ended: list[str], lives: bool
) -> None:
    significant = auto is not AutoShutdown.NEVER
    async with ActorSystem() as system:
        children = [spec(id, restart=Restart.TRANSIENT, significant=significant) for id in "ab"]
        sup = await up(system, *children, spec("c"), auto_shutdown=auto)
        for id in ended:
            await crash(system, id, "normal")
        assert sup.is_alive is lives


async def test_a_significant_child_that_is_terminated_from_outside_ends_nothing() -> None:
    async with ActorSystem() as system:
        child = spec("a", restart=Restart.TRANSIENT, significant=True)
        sup = await up(system, child, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
        await sup.terminate_child("a")
        await turns(50)
        assert sup.is_alive


@pytest.mark.parametrize("strategy", [OneForOne, OneForAll, RestForOne])
async def test_a_restart_that_fails_again_and_again_lets_calls_come_in_between(strategy: Any) -> None:
    async with ActorSystem() as system:
        plan: list[Any] = ["ok", *["fail"] * 1_000_000]
        sup = await up(system, spec("c", plan=plan), strategy=strategy(max_restarts=900_000, within=1.0))
        await crash(system, "c")
        await sup.terminate_child("c")
        assert await ids(sup) == [("c", False)]
        await sup.stop()


async def test_a_start_that_hangs_is_cancelled_by_a_stop() -> None:
    async with ActorSystem() as system:
        sup = await up(system)
        starting = asyncio.ensure_future(sup.start_child(spec("c", plan=["hang"], shutdown=2.0)))
        await turns()
        began = system.time()
        await sup.stop()
        assert system.time() - began <= 2.0 + 1e-6
        with pytest.raises((StartError, Exception)):
            await starting


async def test_backoff_doubles_and_never_exceeds_its_maximum() -> None:
    backoff = Backoff(1.0, 10.0, jitter=0.5)
    for n in range(100):
        low, high = backoff.delay(n, lambda: 0.0), backoff.delay(n, lambda: 1.0)
        pause = min(10.0, 2.0 ** min(n, 10))
        assert low == pytest.approx(pause * 0.5)
        assert high == pytest.approx(min(10.0, pause * 1.5))
