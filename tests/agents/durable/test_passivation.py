"""Jobs that only wait, and give their memory back."""

import asyncio
import gc
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from miniagents import (
    EventKind,
    InteractionContext,
    MessageSequencePromise,
    MiniAgents,
    PromiseCancelledError,
    RetryPolicy,
    TextMessage,
    miniagent,
)
from miniagents.errors import DeadlineExceededError, JournalError, ServiceStoppingError, SystemNotRunningError
from miniagents.journal import JobOf, JobState, MemoryJournal, Waits, WaitState
from tests.agents.deaths import lived_twice

AFTER = 10.0
ran: list[str] = []
is_working: list[bool] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()
    is_working.clear()


@miniagent(durable=True, passivate_after=AFTER)
async def asks(ctx: InteractionContext) -> None:
    ran.append(f"asks, interrupted: {ctx.interrupted}")
    ctx.reply("it begins")
    answer = await ctx.wait_for("approval")
    ctx.reply(f"got {answer}")


@miniagent(durable=True, passivate_after=AFTER)
async def asks_for_a_while(ctx: InteractionContext) -> None:
    await ctx.wait_for("approval", timeout=50.0)


@miniagent(durable=True, passivate_after=AFTER)
async def sleeps(ctx: InteractionContext) -> None:
    ran.append("sleeps")
    await ctx.sleep(100.0)
    ctx.reply("slept")


async def _passive(mini: MiniAgents) -> None:
    """Let so much time pass that what only waits has been passivated."""
    await asyncio.sleep(AFTER + 1.0)
    assert mini.interactions() == ()


async def _texts(replies: MessageSequencePromise, into: list[str]) -> None:
    async for reply in replies:
        into.append(str(await reply))


async def test_the_promise_of_a_passive_job_gets_each_reply_once() -> None:
    texts: list[str] = []
    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("j", asks)
        reader = asyncio.ensure_future(_texts(replies, texts))
        await _passive(mini)
        assert texts == ["it begins"]
        assert [wait.name for wait in await mini.pending()] == ["approval"]

        await mini.deliver("j", "approval", "yes")
        await reader
        assert [str(reply) for reply in await replies] == texts == ["it begins", "got yes"]
    assert ran == ["asks, interrupted: False"] * 2


async def test_the_code_of_a_passive_job_is_no_longer_in_memory() -> None:
    kept: list[weakref.ref[Any]] = []

    @miniagent(durable=True, passivate_after=AFTER)
    async def root(ctx: InteractionContext) -> None:
        kept.append(weakref.ref(ctx.interaction))
        await ctx.wait_for("approval")

    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("j", root)
        await _passive(mini)
        gc.collect()
        assert kept[0]() is None
        await mini.deliver("j", "approval", "yes")
        await replies


async def test_a_job_that_waits_for_less_time_stays_in_memory() -> None:
    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("j", asks)
        await asyncio.sleep(AFTER - 1.0)
        await mini.deliver("j", "approval", "yes")
        await replies
        await asyncio.sleep(AFTER)
    assert len(ran) == 1


async def test_a_passive_job_goes_on_when_its_time_has_come() -> None:
    loop = asyncio.get_running_loop()
    async with MiniAgents(journal=MemoryJournal()) as mini:
        began = loop.time()
        replies = mini.run_job("j", sleeps)
        await _passive(mini)
        assert str(await replies) == "slept"
        assert loop.time() - began == pytest.approx(100.0, abs=1.0)
    assert ran == ["sleeps"] * 2


async def test_the_timeout_of_a_wait_ends_it_although_its_job_is_passive() -> None:
    loop = asyncio.get_running_loop()
    async with MiniAgents(journal=MemoryJournal()) as mini:
        began = loop.time()
        replies = mini.run_job("j", asks_for_a_while)
        await _passive(mini)
        with pytest.raises(DeadlineExceededError):
            await replies
        assert loop.time() - began == pytest.approx(50.0, abs=1.0)


async def test_calls_that_wait_for_each_other_are_thrown_away_together() -> None:
    @miniagent(durable=True)
    async def below(ctx: InteractionContext) -> None:
        ran.append("below")
        ctx.reply(f"{await ctx.message_promises} {await ctx.wait_for('approval')}")

    @miniagent(durable=True)
    async def paid(ctx: InteractionContext) -> None:
        ran.append("paid")
        ctx.reply("paid")

    @miniagent(durable=True, passivate_after=AFTER)
    async def root(ctx: InteractionContext) -> None:
        ctx.reply(await paid.inquire())
        both = await asyncio.gather(below.inquire("a"), below.inquire("b"))
        ctx.reply([str(replies) for replies in both])
        answers = await asyncio.gather(ctx.wait_for("c"), ctx.wait_for("d"))
        ctx.reply("".join(map(str, answers)))

    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("j", root)
        for _ in range(2):
            await _passive(mini)
            wait, *_ = await mini.pending()
            await mini.deliver("j", wait.id, "yes")
        for name in "dc":
            await _passive(mini)
            await mini.deliver("j", name, name)
        assert [str(reply) for reply in await replies] == ["paid", "a yes", "b yes", "cd"]
    assert ran.count("paid") == 1


async def test_a_passive_job_that_is_cancelled_stays_cancelled() -> None:
    journal = MemoryJournal()
    async with MiniAgents(journal=journal) as mini:
        replies = mini.run_job("j", asks)
        await _passive(mini)
        assert await mini.cancel_job("j")
        with pytest.raises(PromiseCancelledError, match="job 'j' was cancelled"):
            await replies
        assert await mini.pending() == ()
        with pytest.raises(PromiseCancelledError):
            await mini.run_job("j", asks)
    assert len(ran) == 1


async def test_a_job_whose_promise_is_cancelled_while_it_is_passive_is_cancelled() -> None:
    journal = MemoryJournal()
    async with MiniAgents(journal=journal) as mini:
        replies = mini.run_job("j", asks)
        await _passive(mini)
        await replies.aclose("nobody wants it")
        await asyncio.sleep(0.1)
        job = await journal.read(JobOf("j"))
        assert job is not None
        assert job.state is JobState.CANCELLED
        assert await mini.unfinished_jobs() == ()
        assert await journal.read(Waits("j")) == ()


async def test_a_job_that_is_cancelled_while_it_opens_again_ends() -> None:
    journal = MemoryJournal()
    async with MiniAgents(journal=journal) as mini:
        replies = mini.run_job("j", asks)
        await _passive(mini)
        await mini.deliver("j", "approval", "yes")
        replies.cancel()
        with pytest.raises(PromiseCancelledError):
            await replies
        await asyncio.sleep(1.0)
        job = await journal.read(JobOf("j"))
        assert job is not None
        assert job.state is JobState.CANCELLED
    assert len(ran) == 1


async def test_the_end_of_the_system_is_no_end_of_a_passive_job() -> None:
    journal = MemoryJournal()
    replies: list[MessageSequencePromise] = []
    with pytest.raises(KeyError):
        async with MiniAgents(journal=journal) as mini:
            replies.append(mini.run_job("j", asks))
            await _passive(mini)
            raise KeyError
    with pytest.raises(PromiseCancelledError, match="the system ends"):
        await replies[0]

    async with MiniAgents(journal=journal) as mini:
        assert [job.state for job in await mini.unfinished_jobs()] == [JobState.RUNNING]
        assert [wait.state for wait in await journal.read(Waits("j"))] == [WaitState.WAITING]
        again = mini.run_job("j", asks)
        await mini.deliver("j", "approval", "yes")
        assert len(await again) == 2
    assert ran == ["asks, interrupted: False", "asks, interrupted: True"]


async def test_a_system_that_is_started_again_runs_a_job_that_was_passive_at_its_end() -> None:
    mini = MiniAgents(journal=MemoryJournal())
    with pytest.raises(KeyError):
        async with mini:
            mini.run_job("j", asks)
            await _passive(mini)
            raise KeyError
    async with mini:
        replies = mini.run_job("j", asks)
        await mini.deliver("j", "approval", "yes")
        assert len(await replies) == 2


async def test_whoever_leaves_the_system_in_order_waits_for_passive_jobs() -> None:
    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("j", sleeps)
    assert str(replies.result()) == "slept"


async def test_an_answer_that_comes_while_the_code_ends_is_not_lost() -> None:
    @miniagent(durable=True, passivate_after=AFTER)
    async def slow_to_end(ctx: InteractionContext) -> None:
        ran.append("begins")
        assert not is_working
        is_working.append(True)
        try:
            answer = await ctx.wait_for("approval")
        finally:
            try:
                await asyncio.sleep(0.5)
            finally:
                is_working.clear()
        ctx.reply(str(answer))

    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("j", slow_to_end)
        await asyncio.sleep(AFTER + 0.2)
        assert is_working
        await mini.deliver("j", "approval", "yes")
        assert str(await replies) == "yes"
    assert ran == ["begins"] * 2


@pytest.mark.parametrize("turns", range(-8, 8))
async def test_an_answer_is_not_lost_at_any_turn_of_the_passivation(turns: int) -> None:
    loop = asyncio.get_running_loop()
    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("j", asks)
        await asyncio.sleep(0.1)
        resting = mini.answers.resting
        watch = resting._watched["j"]  # the moment at which the job is passivated
        watch.timer.cancel()
        watch.since -= AFTER
        delivered: list[asyncio.Future[Any]] = []

        def deliver() -> None:
            delivered.append(asyncio.ensure_future(mini.deliver("j", "approval", "yes")))

        def passivate() -> None:
            if "j" in resting._watched:  # else the code goes on already
                resting._passivate("j")
                watch.timer.cancel()

        def after(left: int, function: Callable[[], None]) -> None:
            if left:
                loop.call_soon(after, left - 1, function)
            else:
                function()

        after(max(turns, 0), deliver)
        after(max(-turns, 0), passivate)
        assert str((await replies)[1]) == "got yes"
        await delivered[0]
    assert len(ran) <= 2


async def test_a_job_that_waits_since_its_last_busy_call_has_ended_rests_when_it_is_passive() -> None:
    @miniagent  # it runs in each process
    async def busy(ctx: InteractionContext) -> None:
        await asyncio.sleep(5.0)
        ctx.reply("done")

    @miniagent(durable=True, passivate_after=AFTER, version="1")
    async def root(ctx: InteractionContext) -> None:
        for replies in (busy.inquire(), waits_below.inquire()):
            await replies

    journal = MemoryJournal()
    for _ in range(5):  # three deaths in a row would be too many, if they counted
        with pytest.raises(KeyError):
            async with MiniAgents(journal=journal) as mini:
                mini.run_job("j", root)
                await asyncio.sleep(2 * AFTER)
                assert mini.interactions() == ()
                journal.is_dead = True
                raise KeyError
        journal = journal.after_death()
    async with MiniAgents(journal=journal) as mini:
        replies = mini.run_job("j", root)
        await mini.deliver("j", "approval", "yes")
        await replies


async def test_who_joins_a_passive_job_gets_its_replies() -> None:
    async with MiniAgents(journal=MemoryJournal()) as mini:
        first = mini.run_job("j", asks)
        await _passive(mini)
        texts: list[str] = []
        reader = asyncio.ensure_future(_texts(mini.run_job("j", asks), texts))
        await asyncio.sleep(0.1)
        assert texts == ["it begins"]
        assert await mini.resume_all() == {}

        await mini.deliver("j", "approval", "yes")
        await reader
        assert texts == [str(reply) for reply in await first] == ["it begins", "got yes"]


@pytest.mark.parametrize("at", range(29))
async def test_wherever_the_process_dies_a_job_that_was_passive_goes_on_and_pays_for_nothing_twice(at: int) -> None:
    paid: Counter[str] = Counter()
    answered: list[str] = []

    @miniagent
    async def costs(ctx: InteractionContext) -> None:
        text = str(await ctx.message_promises)
        paid[text] += 1
        ctx.reply(f"{text}-{paid[text]}")

    @miniagent(passivate_after=AFTER, version="1")
    async def root(ctx: InteractionContext) -> None:
        ctx.reply(await costs.inquire("a"))
        ctx.reply(str(await ctx.wait_for("first")))
        ctx.reply(await costs.inquire("b"))
        await ctx.sleep(3 * AFTER)
        ctx.reply(str(await ctx.wait_for("second")))

    async def answer(mini: MiniAgents) -> None:
        while len(answered) < 2:
            await asyncio.sleep(AFTER + 5.0)
            for wait in await mini.pending():
                await mini.deliver(wait.job, wait.name, wait.name)
                answered.append(wait.name)

    async def program(mini: MiniAgents) -> list[str]:
        answering = asyncio.ensure_future(answer(mini))
        try:
            return [str(reply) for reply in await mini.run_job("job", root)]
        finally:
            answering.cancel()

    result, has_died = await lived_twice(program, at=at)
    assert has_died == (at < 28)

    assert answered == ["first", "second"]
    assert [text.partition("-")[0] for text in result] == ["a", "first", "b", "second"]
    assert paid.total() <= 3  # one may have been in flight


async def test_a_killed_process_does_not_count_against_a_passive_job() -> None:
    journal = MemoryJournal()
    for _ in range(4):
        with pytest.raises(KeyError):
            async with MiniAgents(journal=journal) as mini:
                mini.run_job("j", asks)
                await _passive(mini)
                journal.is_dead = True
                raise KeyError
        journal = journal.after_death()
    async with MiniAgents(journal=journal) as mini:
        replies = mini.run_job("j", asks)
        await mini.deliver("j", "approval", "yes")
        assert len(await replies) == 2


async def test_a_journal_that_cannot_be_read_fails_the_promise_and_the_job_can_be_run_again() -> None:
    class Breaks(MemoryJournal):
        is_broken = False

        def read(self, query: Any) -> Any:
            if not self.is_broken or not isinstance(query, JobOf):
                return super().read(query)
            broken = asyncio.get_running_loop().create_future()
            broken.set_exception(JournalError("broken"))
            return broken

    journal = Breaks()
    async with MiniAgents(journal=journal) as mini:
        replies = mini.run_job("j", asks)
        await _passive(mini)
        journal.is_broken = True
        await mini.deliver("j", "approval", "yes")
        with pytest.raises(JournalError):
            await replies
        journal.is_broken = False
        assert len(await mini.run_job("j", asks)) == 2


async def test_a_task_of_the_code_that_waits_is_thrown_away_with_it() -> None:
    @miniagent(durable=True, passivate_after=AFTER)
    async def root(ctx: InteractionContext) -> None:
        first = ctx.interaction.start_soon(_wait(ctx, "a"))
        ctx.reply(await _wait(ctx, "b") + await first)

    async def _wait(ctx: InteractionContext, name: str) -> str:
        return str(await ctx.wait_for(name))

    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("j", root)
        for name in "ab":
            await _passive(mini)
            await mini.deliver("j", name, name)
        assert str(await replies) == "ba"


async def test_a_passivation_is_no_failure_of_the_agent() -> None:
    async with MiniAgents(journal=MemoryJournal()) as mini:
        with mini.events.subscribe() as events:
            replies = mini.run_job("j", asks)
            await _passive(mini)
            assert not mini.tree("/agents/asks").last_error
            await mini.deliver("j", "approval", "yes")
            await replies
            events.close()
            ended = [event async for event in events if event.kind is EventKind.INTERACTION_ENDED]
    assert [event.error for event in ended] == [None, None]


async def test_nothing_is_logged_of_code_that_was_thrown_away(log: list[Any]) -> None:
    @miniagent(durable=True, passivate_after=AFTER)
    async def root(ctx: InteractionContext) -> None:
        ctx.reply(await asks.inquire().answer())

    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("j", root)
        await _passive(mini)
        gc.collect()
        await mini.deliver("j", "approval", "yes")
        assert len(await replies) == 2
    assert log == []


# What stays in memory


async def _work() -> None:
    is_working.append(True)
    await asyncio.sleep(50.0)
    is_working.clear()


@miniagent(durable=True, passivate_after=AFTER)
async def with_a_task(ctx: InteractionContext) -> None:
    ran.append("root")
    await asyncio.gather(_work(), ctx.wait_for("approval"))


@miniagent(durable=True, passivate_after=AFTER)
async def with_background_work(ctx: InteractionContext) -> None:
    ran.append("root")
    ctx.interaction.start_soon(_work())
    await ctx.wait_for("approval")


@miniagent(durable=True, passivate_after=AFTER)
async def with_a_stream(ctx: InteractionContext) -> None:
    async def tokens(_: Any) -> AsyncIterator[str]:
        yield "a "
        await _work()
        yield "stream"

    ran.append("root")
    ctx.reply(TextMessage.promise(message_token_streamer=tokens, start_soon=True))
    await ctx.wait_for("approval")


@miniagent(durable=True)
async def streams_and_waits(ctx: InteractionContext) -> None:
    async def tokens(_: Any) -> AsyncIterator[str]:
        yield "a "
        await _work()
        yield "stream"

    ctx.reply(TextMessage.promise(message_token_streamer=tokens, start_soon=True))
    await ctx.wait_for("approval")


@miniagent(durable=True, passivate_after=AFTER)
async def with_a_stream_below(ctx: InteractionContext) -> None:
    ran.append("root")
    await streams_and_waits.inquire()


@miniagent
async def waits_unrecorded(ctx: InteractionContext) -> None:
    await ctx.wait_for("approval")


@miniagent(durable=True, passivate_after=AFTER)
async def with_an_unrecorded_call(ctx: InteractionContext) -> None:
    ran.append("root")
    await waits_unrecorded.inquire()


@miniagent(durable=True, passivate_after=AFTER)
class WithState:
    async def __call__(self, ctx: InteractionContext) -> None:
        ran.append("root")
        await ctx.wait_for("approval")


@miniagent(durable=True)
async def waits_below(ctx: InteractionContext) -> None:
    await ctx.wait_for("approval")


@miniagent(durable=True, passivate_after=AFTER)
async def works_beside_a_call_that_waits(ctx: InteractionContext) -> None:
    ran.append("root")
    replies = waits_below.inquire()
    await _work()
    await replies


@miniagent(durable=True, passivate_after=AFTER)
async def with_an_open_call(ctx: InteractionContext) -> None:
    ran.append("root")
    waits_below.initiate_call()
    await ctx.wait_for("approval")


@miniagent(durable=True, passivate_after=AFTER)
async def with_a_call_under_a_time_limit(ctx: InteractionContext) -> None:
    ran.append("root")
    await waits_below.inquire(timeout=1000.0)


@miniagent(durable=True, passivate_after=AFTER)
async def with_a_started_tool(ctx: InteractionContext) -> None:
    ran.append("root")
    records: Any = ctx.interaction.records
    await records.recorded("tool", b"1")
    await records.record("tool", b"1", None)
    await ctx.wait_for("approval")


@miniagent(durable=True)
async def that_does_not_say_so(ctx: InteractionContext) -> None:
    ran.append("root")
    await ctx.wait_for("approval")


STAYING: list[Any] = [
    with_a_task,
    with_background_work,
    with_a_stream,
    with_a_stream_below,
    with_an_unrecorded_call,
    WithState,
    works_beside_a_call_that_waits,
    with_an_open_call,
    with_a_call_under_a_time_limit,
    with_a_started_tool,
    that_does_not_say_so,
    that_does_not_say_so.fork(),
]


@pytest.mark.parametrize("agent", [pytest.param(agent, id=agent.alias) for agent in STAYING])
async def test_a_job_that_does_more_than_wait_stays_in_memory(agent: Any) -> None:
    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("j", agent)
        await asyncio.sleep(2 * AFTER)
        assert [call.path for call in mini.interactions()]
        for wait in await mini.pending():
            await mini.deliver(wait.job, wait.id, "yes")
        await replies
    assert ran == ["root"]


async def test_a_job_under_a_time_limit_stays_in_memory_and_is_ended_by_it() -> None:
    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("j", asks, timeout=50.0)
        await asyncio.sleep(2 * AFTER)
        assert mini.interactions()
        with pytest.raises(TimeoutError):
            await replies


async def test_an_agent_that_is_tried_again_is_not_tried_since_it_was_thrown_away() -> None:
    @miniagent(durable=True, passivate_after=AFTER, retry=RetryPolicy(attempts=3))
    async def root(ctx: InteractionContext) -> None:
        ran.append("root")
        ctx.reply(str(await ctx.wait_for("approval")))

    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("j", root)
        await _passive(mini)
        await mini.deliver("j", "approval", "yes")
        assert str(await replies) == "yes"
    assert ran == ["root"] * 2


# A service that stops


@pytest.mark.parametrize("is_joined", [False, True])
async def test_a_passive_job_whose_promise_a_service_that_stops_cuts_off_is_not_cancelled(is_joined: bool) -> None:
    journal = MemoryJournal()
    async with MiniAgents(journal=journal) as mini:
        replies = mini.run_job("j", asks)
        if is_joined:
            replies = mini.run_job("j", asks)
        await _passive(mini)
        replies.cut_off(ServiceStoppingError("the service stops"))
        with pytest.raises(ServiceStoppingError):
            await replies
        await asyncio.sleep(1.0)
    assert await _goes_on(journal, asks) == ["it begins", "got yes"]


# The end of a system that leaves them to the next process


@miniagent(durable=True)
async def is_paid(ctx: InteractionContext) -> None:
    ran.append("is paid")
    ctx.reply("an offer")


@miniagent(durable=True)
async def offers(ctx: InteractionContext) -> None:
    offer = await is_paid.inquire().answer()
    ctx.reply(f"{offer}: {await ctx.wait_for('approval')}")


@miniagent(durable=True)
async def works_and_waits(ctx: InteractionContext) -> None:
    await _work()
    await ctx.wait_for("approval")


@miniagent
async def works(ctx: InteractionContext) -> None:
    await _work()


async def _goes_on(journal: MemoryJournal, agent: Any) -> list[str]:
    """Answer the job in the next process, and return its replies."""
    async with MiniAgents(journal=journal) as mini:
        assert [job.state for job in await mini.unfinished_jobs()] == [JobState.RUNNING]
        assert [wait.state for wait in await journal.read(Waits("j"))] == [WaitState.WAITING]
        again = mini.run_job("j", agent)
        await mini.deliver("j", "approval", "yes")
        return [str(reply) for reply in await again]


@pytest.mark.parametrize(
    ("agent", "answers"),
    [(offers, ["an offer: yes"]), (asks, ["it begins", "got yes"]), (that_does_not_say_so, [])],
    ids=["with a call", "with a reply", "that is never passivated"],
)
async def test_a_system_that_leaves_waits_ends_at_once_and_the_next_process_goes_on(
    agent: Any, answers: list[str], log: list[Any]
) -> None:
    loop, journal = asyncio.get_running_loop(), MemoryJournal()
    mini = MiniAgents(journal=journal).activate()
    replies = mini.run_job("j", agent)
    while not await mini.pending():  # noqa: ASYNC110  # nothing tells of it
        await asyncio.sleep(0.01)
    began = loop.time()

    await mini.afinalize(leaves_waits=True)

    assert loop.time() == began
    with pytest.raises(PromiseCancelledError, match="the system ends"):
        await replies
    assert log == []
    assert await _goes_on(journal, agent) == answers
    assert ran.count("is paid") == (1 if agent is offers else 0)


async def test_a_system_that_leaves_waits_leaves_what_sleeps() -> None:
    loop, journal = asyncio.get_running_loop(), MemoryJournal()
    mini = MiniAgents(journal=journal).activate()
    mini.run_job("j", sleeps)
    await asyncio.sleep(1.0)
    began = loop.time()
    await mini.afinalize(leaves_waits=True)
    assert loop.time() == began

    async with MiniAgents(journal=journal) as mini:
        assert str(await mini.run_job("j", sleeps)) == "slept"
    assert loop.time() - began == pytest.approx(99.0, abs=0.5)


async def test_a_system_that_leaves_waits_leaves_jobs_that_are_passive_already() -> None:
    loop, journal = asyncio.get_running_loop(), MemoryJournal()
    mini = MiniAgents(journal=journal).activate()
    mini.run_job("j", asks)
    await _passive(mini)
    began = loop.time()
    await mini.afinalize(leaves_waits=True)
    assert loop.time() == began
    assert await _goes_on(journal, asks) == ["it begins", "got yes"]


async def test_a_system_that_leaves_waits_waits_for_work_and_for_a_job_that_works() -> None:
    loop, journal = asyncio.get_running_loop(), MemoryJournal()
    mini = MiniAgents(journal=journal).activate()
    mini.run_job("j", works_beside_a_call_that_waits)
    call = works.inquire()
    await asyncio.sleep(1.0)
    began = loop.time()
    await mini.afinalize(leaves_waits=True)
    assert call.result() == ()
    assert loop.time() - began == pytest.approx(49.0, abs=1.5)
    assert await _goes_on(journal, works_beside_a_call_that_waits) == []


async def test_a_job_that_comes_to_its_wait_while_the_system_ends_is_left_then() -> None:
    loop, journal = asyncio.get_running_loop(), MemoryJournal()
    mini = MiniAgents(journal=journal).activate()
    mini.run_job("j", works_and_waits)
    await asyncio.sleep(1.0)
    began = loop.time()
    await mini.afinalize(leaves_waits=True)
    assert loop.time() - began == pytest.approx(49.0, abs=0.5)
    assert await _goes_on(journal, works_and_waits) == []


async def test_a_job_that_was_left_goes_on_if_its_answer_comes_while_others_work() -> None:
    mini = MiniAgents(journal=MemoryJournal()).activate()
    replies = mini.run_job("j", offers)
    works.inquire()
    await asyncio.sleep(1.0)
    ending = asyncio.ensure_future(mini.afinalize(leaves_waits=True))
    await asyncio.sleep(1.0)
    assert [call.path for call in mini.interactions()] == ["/agents/works"]
    await mini.deliver("j", "approval", "yes")
    await ending
    assert str(replies.result()) == "an offer: yes"
    assert ran == ["is paid"]


@pytest.mark.parametrize("turns", range(24))
async def test_an_answer_at_any_turn_of_the_end_is_used_or_refused(turns: int) -> None:
    journal = MemoryJournal()
    mini = MiniAgents(journal=journal).activate()
    replies = mini.run_job("j", offers)
    await asyncio.sleep(1.0)
    ending = asyncio.ensure_future(mini.afinalize(leaves_waits=True))
    for _ in range(turns):
        await asyncio.sleep(0)
    try:
        await mini.deliver("j", "approval", "at once")
        was_taken = True
    except (SystemNotRunningError, JournalError):
        was_taken = False
    await ending
    try:
        answer = str(await replies)
    except PromiseCancelledError:
        async with MiniAgents(journal=journal) as mini:
            again = mini.run_job("j", offers)
            if not was_taken:
                await mini.deliver("j", "approval", "later")
            answer = str(await again)
    assert answer == f"an offer: {'at once' if was_taken else 'later'}"
    assert ran == ["is paid"]


async def test_who_waits_for_a_job_that_was_left_is_waited_for_and_nothing_of_it_is_recorded() -> None:
    loop, journal = asyncio.get_running_loop(), MemoryJournal()

    @miniagent(durable=True)
    async def above(ctx: InteractionContext) -> None:
        ctx.reply(await MiniAgents.get_current().run_job("j", offers))

    mini = MiniAgents(journal=journal).activate()
    mini.run_job("above", above)
    await asyncio.sleep(1.0)
    began = loop.time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30.0):
            await mini.afinalize(leaves_waits=True)
    assert loop.time() - began == pytest.approx(30.0, abs=0.5)
    async with MiniAgents(journal=journal) as mini:
        again = mini.run_job("above", above)
        await mini.deliver("j", "approval", "yes")
        assert str(await again) == "an offer: yes"
    assert ran == ["is paid"]


@pytest.mark.parametrize("agent", [WithState, with_a_call_under_a_time_limit, with_a_started_tool])
async def test_a_job_that_has_more_than_its_wait_is_waited_for_and_stays_in_the_journal(agent: Any) -> None:
    loop, journal = asyncio.get_running_loop(), MemoryJournal()
    mini = MiniAgents(journal=journal).activate()
    mini.run_job("j", agent)
    await asyncio.sleep(1.0)
    began = loop.time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30.0):
            await mini.afinalize(leaves_waits=True)
    assert loop.time() - began == pytest.approx(30.0, abs=0.5)
    assert await _goes_on(journal, agent) == []


async def test_a_system_that_is_not_told_to_leave_waits_waits_for_them() -> None:
    mini = MiniAgents(journal=MemoryJournal()).activate()
    replies = mini.run_job("j", sleeps)
    await mini.afinalize()
    assert str(replies.result()) == "slept"
