"""The accounts of interactions: what a call has used itself, and with all calls below it."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniagents import (
    Backoff,
    EventKind,
    Interaction,
    InteractionAccount,
    InteractionContext,
    MiniAgents,
    Observer,
    RetryPolicy,
    miniagent,
)
from miniagents.agents.accounts import DEEPEST
from miniagents.ext.llms import Cache, Fallback
from miniagents.journal import MemoryJournal
from miniagents.testing import Fault, Reply, Script, ScriptedModel, VirtualTimeLoop


class Follows(Observer):
    """Keeps the accounts of all calls that are over, in that order."""

    def __init__(self) -> None:
        self.over: list[InteractionAccount] = []

    def interaction_over(self, account: InteractionAccount) -> None:
        self.over.append(account)

    def of(self, path: str) -> InteractionAccount:
        (account,) = [account for account in self.over if account.cell.path == path]
        return account


def below(account: InteractionAccount, accounts: list[InteractionAccount]) -> list[InteractionAccount]:
    return [other for other in accounts if other.above is account]


def check_sums(accounts: list[InteractionAccount]) -> None:
    """The sum of the own values over each tree is the total at its top; the own time is that of the open intervals."""
    for account in accounts:
        tree = [account]
        for node in tree:
            tree += below(node, accounts)
        assert account.tokens == sum(node.own_tokens for node in tree)
        assert account.seconds == pytest.approx(sum(node.own_seconds for node in tree))
        costs = [node.own_cost for node in tree]
        if None in costs:
            assert account.cost is None
        else:
            assert account.cost == pytest.approx(sum(cost for cost in costs if cost is not None))
        assert account.over_at is not None
        assert account.own_seconds == pytest.approx(
            account.over_at - account.started_at - covered(below(account, accounts))
        )
        assert not account.open_below


def covered(accounts: list[InteractionAccount]) -> float:
    """The seconds in which at least one of these calls was open."""
    seconds, upto = 0.0, -1.0
    for account in sorted(accounts, key=lambda account: account.started_at):
        assert account.over_at is not None
        seconds += max(0.0, account.over_at - max(account.started_at, upto))
        upto = max(upto, account.over_at)
    return seconds


# Any tree of calls


class Plan(msgspec.Struct, frozen=True):
    """What a call does: rests, spends, fails and is tried again, calls others, leaves work behind."""

    pause: float
    tokens: int
    cost: float | None
    failures: int
    is_parallel: bool
    is_waited_for: bool
    patience: float | None
    background: float
    below: tuple["Plan", ...]


def plans() -> Any:
    seconds = st.sampled_from([0.0, 0.5, 1.0, 3.0])

    def plan(children: Any) -> Any:
        return st.builds(
            Plan,
            pause=seconds,
            tokens=st.integers(0, 100),
            cost=st.one_of(st.none(), st.sampled_from([0.0, 0.25, 1.0]), st.just(0.5)),
            failures=st.sampled_from([0, 0, 0, 1, 2, 9]),
            is_parallel=st.booleans(),
            is_waited_for=st.booleans(),
            patience=st.sampled_from([None, None, 0.7, 2.0]),
            background=seconds,
            below=children,
        )

    return plan(st.recursive(st.just(()), lambda inner: st.lists(plan(inner), max_size=3).map(tuple), max_leaves=6))


def agent_of(retry: RetryPolicy, plans: list[Plan]) -> Any:
    failed: dict[int, int] = {}

    async def acts(ctx: InteractionContext, number_of_plan: int) -> None:
        plan, number = plans[number_of_plan], ctx.interaction.id
        ctx.interaction.spend(plan.tokens, plan.cost)
        await asyncio.sleep(plan.pause)
        if failed.get(number, 0) < plan.failures:
            failed[number] = failed.get(number, 0) + 1
            raise ValueError("again")
        if plan.background:
            ctx.interaction.start_soon(asyncio.sleep(plan.background))
        calls = []
        for other in plan.below:
            plans.append(other)
            call = agent.inquire(timeout=other.patience, number_of_plan=len(plans) - 1)
            if not plan.is_parallel and other.is_waited_for:
                await settled(call)
            calls.append(call)
        for call, other in zip(calls, plan.below, strict=True):
            if other.is_waited_for:
                await settled(call)
            else:
                call.mark_seen()

    agent = miniagent(retry=retry)(acts)
    return agent


async def settled(call: Any) -> None:
    try:
        await call
    except Exception:
        pass


@given(plan=plans(), cancelled_after=st.sampled_from([None, None, 0.2, 1.2]))
@settings(max_examples=150)
def test_the_own_values_over_a_tree_of_calls_sum_up_to_the_total_at_its_top(
    plan: Plan, cancelled_after: float | None
) -> None:
    follows = Follows()

    async def main() -> None:
        agent = agent_of(RetryPolicy(attempts=3, backoff=Backoff(0.25, 0.25), on=(ValueError,)), [plan])
        async with MiniAgents(observers=[follows]) as system:
            call = agent.inquire(number_of_plan=0)
            if cancelled_after is not None:
                await asyncio.sleep(cancelled_after)
                for interaction in system.interactions()[:1]:
                    await interaction.cancel()
            await settled(call)
        assert system.accounts() == ()

    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert follows.over[-1].above is None
    check_sums(follows.over)


# Trees that are known


@miniagent
async def leaf(ctx: InteractionContext, pause: float = 0.0) -> None:
    await asyncio.sleep(pause)
    ctx.interaction.spend(1, 0.5)
    ctx.reply("leaf")


async def test_a_call_is_over_when_nothing_below_it_is_open_and_not_when_its_code_ends() -> None:
    @miniagent
    async def leaves(ctx: InteractionContext) -> None:
        leaf.inquire(pause=5.0).mark_seen()
        await asyncio.sleep(1)

    follows = Follows()
    async with MiniAgents(observers=[follows]) as system:
        await leaves.inquire()
        root, below_it = system.accounts()
        assert (root.cell.path, root.ended_at is not None, root.over_at) == ("/agents/leaves", True, None)
        assert (below_it.above, root.open_below, follows.over) == (root, 1, [])
        await asyncio.sleep(10)
        assert [account.cell.path for account in follows.over] == ["/agents/leaf", "/agents/leaves"]
        assert root.over_at == below_it.over_at
        assert (root.own_seconds, root.seconds, root.tokens, root.own_tokens) == (0.0, 5.0, 1, 0)
        assert system.accounts() == ()


async def test_a_call_that_waits_in_a_mailbox_is_open_from_its_first_event_and_its_wait_is_its_own_time() -> None:
    async def serves(ctx: InteractionContext, pause: float) -> None:
        await asyncio.sleep(pause)

    serial = miniagent(max_concurrency=1)(serves)
    follows = Follows()
    async with MiniAgents(observers=[follows]) as system:
        calls = [serial.inquire(pause=2.0) for _ in range(2)]
        await asyncio.sleep(1)
        first, second = system.accounts()
        assert (first.begun_at, second.begun_at, second.attempts) == (first.started_at, None, 0)
        assert second.own_seconds_at(system.time()) == 1.0
        for call in calls:
            await call
    assert second.begun_at == second.started_at + 2.0
    assert (first.own_seconds, second.own_seconds) == (2.0, 4.0)


async def test_what_runs_in_the_background_keeps_a_call_open_and_what_it_calls_belongs_there() -> None:
    @miniagent
    async def starts(ctx: InteractionContext) -> None:
        async def later() -> None:
            await asyncio.sleep(2)
            await leaf.inquire(pause=1.0)

        ctx.interaction.start_soon(later())

    follows = Follows()
    async with MiniAgents(observers=[follows]):
        await starts.inquire()
    root = follows.of("/agents/starts")
    assert (root.own_seconds, root.seconds, root.tokens) == (2.0, 3.0, 1)
    check_sums(follows.over)


@pytest.mark.parametrize("kind", ["function", "class"])
async def test_attempts_are_told_apart(kind: str) -> None:
    retry = RetryPolicy(attempts=3, backoff=Backoff(1, 1), on=(ValueError,))
    attempts: list[int] = []

    async def acts(ctx: InteractionContext) -> None:
        attempts.append(1)
        await asyncio.sleep(1)
        ctx.interaction.spend(5, 0.1)
        if len(attempts) < 3:
            raise ValueError("again")
        ctx.reply("done")

    class Acts:
        async def __call__(self, ctx: InteractionContext) -> None:
            await acts(ctx)

    agent: Any = miniagent(retry=retry, alias="acts")(acts if kind == "function" else Acts)
    follows = Follows()
    async with MiniAgents(observers=[follows]):
        assert str(await agent.inquire()) == "done"
    (account,) = follows.over
    assert (account.attempts, account.own_tokens, account.tokens, account.error) == (3, 15, 15, None)
    assert account.own_cost == pytest.approx(0.3)
    assert [attempt.error_type for attempt in account.failed_attempts] == ["ValueError", "ValueError"]
    begins = [attempt.begun_at for attempt in account.failed_attempts]
    assert begins[0] == account.begun_at
    assert begins[1] >= begins[0] + 1
    assert [attempt.ended_at - attempt.begun_at for attempt in account.failed_attempts] == [1.0, 1.0]


async def test_the_attempt_that_a_call_ends_with_is_no_failed_attempt_before_it() -> None:
    async def fails(ctx: InteractionContext) -> None:
        raise ValueError("again and again")

    agent = miniagent(retry=RetryPolicy(attempts=3, on=(ValueError,)))(fails)
    follows = Follows()
    async with MiniAgents(observers=[follows]):
        with pytest.raises(ValueError, match="again"):
            await agent.inquire()
    (account,) = follows.over
    assert (account.attempts, len(account.failed_attempts)) == (3, 2)
    assert account.error == "ValueError: again and again"


async def test_an_unknown_cost_is_unknown_above_and_never_nothing() -> None:
    @miniagent
    async def unknown(ctx: InteractionContext) -> None:
        ctx.interaction.spend(3, None)
        ctx.interaction.spend(4, 0.25)
        assert ctx.interaction.cost is None

    @miniagent
    async def asks(ctx: InteractionContext) -> None:
        await leaf.inquire()
        await unknown.inquire()

    follows = Follows()
    async with MiniAgents(observers=[follows]) as system:
        with system.events.subscribe() as events:
            await asks.inquire()
        ends = {event.path: event.cost async for event in events if event.kind is EventKind.INTERACTION_ENDED}
        sums = system.tree("/agents")
    assert ends == {"/agents/leaf": 0.5, "/agents/unknown": None, "/agents/asks": 0.0}
    root = follows.of("/agents/asks")
    assert (root.tokens, root.cost, root.own_cost) == (8, None, 0.0)
    assert (sums.below.tokens, sums.below.cost) == (8, None)
    assert [(info.type, info.tokens, info.cost) for info in sums.children] == [
        ("asks", 0, 0.0),
        ("leaf", 1, 0.5),
        ("unknown", 7, None),
    ]


async def test_models_that_fail_fall_back_are_cached_or_cancelled_are_counted_where_they_were_used() -> None:
    retry = RetryPolicy(attempts=2, backoff=Backoff(0.1, 0.1))
    cut = Reply("one two three", fault=Fault.CUT, fault_at=2)
    first = ScriptedModel.fork(alias="first", model="gpt-4o", script=Script(cut, cut), retry=retry)
    second = ScriptedModel.fork(alias="second", model="gpt-4o-mini", script=Script("fine", Reply("slow", delay=9)))
    stored = ScriptedModel.fork(alias="stored", model="gpt-4o", script=Script("kept"), cache=Cache())

    @miniagent
    async def asks(ctx: InteractionContext) -> None:
        await Fallback(first, second).inquire("Hi")
        for _ in range(2):
            await stored.inquire("Hi")
        late = second.inquire("Hi")
        await asyncio.sleep(1)
        await late.aclose("enough")

    follows = Follows()
    async with MiniAgents(observers=[follows]):
        await asks.inquire()
    check_sums(follows.over)
    (root,) = [account for account in follows.over if account.above is None]
    used = {alias: [a for a in follows.over if a.cell.agent.alias == alias] for alias in ("first", "second", "stored")}
    assert used["first"][0].own_tokens > used["second"][0].own_tokens > 0, "both attempts of the first were paid for"
    assert [account.own_tokens > 0 for account in used["stored"]] == [True, False]
    assert used["second"][1].error is not None
    assert root.own_tokens == 0
    assert root.cost is not None
    assert root.cost > 0


async def test_a_chain_of_calls_that_each_leave_the_next_behind_keeps_a_bounded_number_of_accounts() -> None:
    @miniagent
    async def link(ctx: InteractionContext, left: int) -> None:
        ctx.interaction.spend(1, 0.0)
        if left:
            link.inquire(left=left - 1).mark_seen()

    follows = Follows()
    async with MiniAgents(observers=[follows]) as system:
        await link.inquire(left=3 * DEEPEST)
        most = 0
        while system.accounts():
            most = max(most, len(system.accounts()))
            await asyncio.sleep(0)
    assert most <= DEEPEST + 2
    assert len(follows.over) == 3 * DEEPEST + 1
    assert follows.over[-1].tokens == 3 * DEEPEST + 1


async def test_accounts_keep_no_call_and_none_of_its_messages() -> None:
    follows = Follows()
    async with MiniAgents(observers=[follows]):
        await leaf.inquire("a long text")
    gc.collect()
    held = {type(thing) for thing in referred(follows.over[0])}
    assert not any(issubclass(kind, Interaction) for kind in held)


def referred(account: InteractionAccount) -> Iterator[Any]:
    for name in account.__struct_fields__:
        yield getattr(account, name)


async def test_a_call_that_was_under_way_when_the_observer_came_is_no_part_of_its_accounts() -> None:
    @miniagent
    async def asks(ctx: InteractionContext) -> None:
        await asyncio.sleep(1)
        await leaf.inquire()

    follows = Follows()
    async with MiniAgents() as system:
        call = asks.inquire()
        await asyncio.sleep(0.5)
        system.observers.attach(follows)
        await call
        assert [account.cell.path for account in follows.over] == ["/agents/leaf"]
        assert follows.over[0].above is None
        system.observers.detach(follows)
        await leaf.inquire()
        assert system.accounts() == ()
    assert len(follows.over) == 1


async def test_an_observer_that_fails_at_the_end_of_a_call_leaves_the_accounts_above_in_order(log: list[Any]) -> None:
    class Fails(Observer):
        def interaction_over(self, account: InteractionAccount) -> None:
            raise RuntimeError("no space")

    @miniagent
    async def asks(ctx: InteractionContext) -> None:
        await leaf.inquire()

    follows = Follows()
    async with MiniAgents(observers=[Fails(), follows]) as system:
        await asks.inquire()
        assert system.accounts() == ()
    check_sums(follows.over)
    assert [entry["event"] for entry in log].count("observer.failed") == 2


async def test_a_call_that_begins_when_the_one_that_made_it_is_over_is_a_tree_of_its_own() -> None:
    made: list[Any] = []

    @miniagent
    async def makes(ctx: InteractionContext) -> None:
        made.append(leaf.inquire(start_soon=False))

    follows = Follows()
    async with MiniAgents(observers=[follows]):
        await makes.inquire()
        await asyncio.sleep(1)
        await made[0]
    maker, late = follows.over
    assert (maker.cell.path, maker.tokens, late.above, late.tokens) == ("/agents/makes", 0, None, 1)
    check_sums(follows.over)


async def test_a_call_that_is_new_to_the_journal_has_begun_and_one_that_is_answered_is_not_told_of() -> None:
    follows = Follows()
    journal = MemoryJournal()
    async with MiniAgents(journal=journal, durable_agents=True, observers=[follows]) as system:
        await system.run_job("job", leaf)
        await system.run_job("job", leaf)
    assert [(account.cell.agent.alias, account.attempts, account.tokens) for account in follows.over] == [
        ("leaf", 1, 1)
    ]
    (account,) = follows.over
    assert account.begun_at is not None
    check_sums(follows.over)
