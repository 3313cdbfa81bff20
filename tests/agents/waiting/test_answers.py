"""Waits for answers from outside, and the answers."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from miniagents import (
    AnswerRefusedError,
    Caller,
    DataMessage,
    InteractionContext,
    Message,
    MiniAgents,
    PromiseCancelledError,
    RetryPolicy,
    TextMessage,
    UserMessage,
    miniagent,
)
from miniagents.actors.observing.caller import current_caller
from miniagents.errors import DeadlineExceededError, InvalidOptionError, MessageTooLargeError, SystemNotRunningError
from miniagents.journal import MemoryJournal, Records, Waits, WaitState
from tests.agents.agents import words
from tests.agents.deaths import Died, lived, lived_twice


class Decision(Message):
    is_yes: bool


@miniagent
async def asks(ctx: InteractionContext, name: str = "approval", timeout: float | None = None) -> None:
    ctx.reply(f"got {await ctx.wait_for(name, prompt='Go on?', timeout=timeout)}")


MAKERS: list[Any] = [
    pytest.param(lambda: MiniAgents(), id="without a journal"),
    pytest.param(lambda: MiniAgents(journal=MemoryJournal(), durable_agents=True), id="with a journal"),
]
both = pytest.mark.parametrize("system", MAKERS)
System = Callable[[], MiniAgents]


async def turns() -> None:
    await asyncio.sleep(0.01)


@both
async def test_an_answer_ends_the_wait_that_pending_lists(system: System) -> None:
    async with system() as mini:
        replies = asks.inquire()
        await turns()
        (wait,) = await mini.pending()
        assert (wait.job, wait.name, wait.agent, wait.prompt, wait.number) == (
            "",
            "approval",
            "/agents/asks",
            "Go on?",
            0,
        )
        assert wait.since == pytest.approx(mini.wall_clock.time(), abs=1)

        assert await mini.deliver("", "approval", "yes") == wait.id

        assert await words(replies) == ["got yes"]
        assert await mini.pending() == ()


@both
async def test_an_answer_by_id_ends_that_wait_alone_and_one_by_name_is_ambiguous(system: System) -> None:
    async with system() as mini:
        replies = [asks.inquire() for _ in range(7)]
        await turns()
        waits = await mini.pending()
        assert len({wait.id for wait in waits}) == 7

        with pytest.raises(AnswerRefusedError, match=f"ambiguous: 7 waits.*{waits[0].id}.* and 2 more") as refused:
            await mini.deliver("", "approval", "yes")
        assert refused.value.reason == "ambiguous"
        assert refused.value.waits == tuple(wait.id for wait in waits)
        for number, wait in reversed(list(enumerate(waits))):
            await mini.deliver("", wait.id, f"{number}")

        assert [await words(reply) for reply in replies] == [[f"got {number}"] for number in range(7)]


@both
async def test_a_second_answer_is_refused_and_told_who_was_first(system: System) -> None:
    async with system() as mini:
        replies = asks.inquire()
        await turns()
        (wait,) = await mini.pending()
        await mini.deliver("", "approval", "yes", by="ann")
        assert await words(replies) == ["got yes"]

        for target in ("approval", wait.id):
            with pytest.raises(
                AnswerRefusedError, match="has an answer already, given by 'ann' at 2026-01-01T"
            ) as refused:
                await mini.deliver("", target, "no", by="bob")
            assert (refused.value.reason, refused.value.by) == ("taken", "ann")


@both
async def test_of_two_answers_at_the_same_time_one_is_taken(system: System) -> None:
    async with system() as mini:
        replies = asks.inquire()
        await turns()

        results = await asyncio.gather(
            *(mini.deliver("", "approval", answer, by=answer) for answer in ("yes", "no")), return_exceptions=True
        )

        assert isinstance(results[0], str)
        assert isinstance(results[1], AnswerRefusedError)
        assert await words(replies) == ["got yes"]


@both
async def test_an_answer_that_comes_before_the_wait_is_kept_for_it(system: System) -> None:
    async with system() as mini:
        assert await mini.deliver("", "approval", "early", by="ann") is None
        with pytest.raises(AnswerRefusedError, match="by 'ann'"):
            await mini.deliver("", "approval", "second")

        assert await words(asks.inquire()) == ["got early"]


@both
async def test_the_deliverer_may_leave_before_the_answer_is_written(system: System) -> None:
    async with system() as mini:
        replies = asks.inquire()
        await turns()

        delivering = asyncio.ensure_future(mini.deliver("", "approval", "yes"))
        await asyncio.sleep(0)
        delivering.cancel()

        assert await words(replies) == ["got yes"]


@both
async def test_a_timeout_ends_the_wait_and_later_answers_are_refused(system: System) -> None:
    async with system() as mini:
        began = mini.time()
        replies = asks.inquire(timeout=None, kwargs={"timeout": 86_400})
        await turns()
        (wait,) = await mini.pending()
        assert wait.due_at == pytest.approx(wait.since + 86_400)

        with pytest.raises(DeadlineExceededError, match="/agents/asks: nobody has answered 'approval' within 86400 s"):
            await replies
        assert mini.time() - began == pytest.approx(86_400, abs=1)
        assert await mini.pending() == ()
        with pytest.raises(AnswerRefusedError, match="waits no more") as refused:
            await mini.deliver("", wait.id, "late")
        assert refused.value.reason == "ended"


@both
async def test_a_wait_that_is_cancelled_is_closed(system: System) -> None:
    async with system() as mini:
        replies = asks.inquire()
        await turns()
        (wait,) = await mini.pending()

        await mini.interactions()[0].cancel("not wanted")

        with pytest.raises(PromiseCancelledError):
            await replies
        await turns()
        assert await mini.pending() == ()
        with pytest.raises(AnswerRefusedError, match="waits no more"):
            await mini.deliver("", wait.id, "late")


@both
async def test_a_wait_that_its_code_gives_up_is_closed_and_the_next_one_is_another(system: System) -> None:
    @miniagent
    async def impatient(ctx: InteractionContext) -> None:
        try:
            async with asyncio.timeout(5):
                await ctx.wait_for("approval")
        except TimeoutError:
            ctx.reply(f"then {await ctx.wait_for('approval')}")

    async with system() as mini:
        replies = impatient.inquire()
        await turns()
        (first,) = await mini.pending()
        await asyncio.sleep(10)
        (second,) = await mini.pending()
        assert (first.number, second.number) == (0, 1)

        await mini.deliver("", "approval", "yes")

        assert await words(replies) == ["then yes"]


@both
async def test_waits_of_one_name_in_one_call_are_told_apart_by_their_numbers(system: System) -> None:
    @miniagent
    async def asks_thrice(ctx: InteractionContext) -> None:
        answers = await asyncio.gather(*(ctx.wait_for("approval", prompt=f"{n}?") for n in range(3)))
        ctx.reply(" ".join(map(str, answers)))

    async with system() as mini:
        replies = asks_thrice.inquire()
        await turns()
        waits = {wait.prompt: wait.id for wait in await mini.pending()}
        for number in (2, 0, 1):
            await mini.deliver("", waits[f"{number}?"], f"answer {number}")
            await turns()

        assert await words(replies) == ["answer 0 answer 1 answer 2"]


@both
async def test_an_answer_of_another_type_is_refused(system: System) -> None:
    @miniagent
    async def decides(ctx: InteractionContext) -> None:
        decision = await ctx.wait_for("decision", type=Decision)
        ctx.reply(f"{decision.is_yes}")

    async with system() as mini:
        replies = decides.inquire()
        await turns()

        with pytest.raises(AnswerRefusedError, match=r"waits for a message of type '.*:Decision', and"):
            await mini.deliver("", "decision", "yes")
        await mini.deliver("", "decision", Decision(is_yes=True))

        assert await words(replies) == ["True"]


@both
async def test_an_early_answer_of_another_type_is_passed_over_and_logged(system: System, log: list[Any]) -> None:
    @miniagent
    async def decides(ctx: InteractionContext) -> None:
        ctx.reply(f"{(await ctx.wait_for('decision', type=Decision)).is_yes}")

    async with system() as mini:
        await mini.deliver("", "decision", "yes", by="ann")
        replies = decides.inquire()
        await turns()
        await mini.deliver("", "decision", Decision(is_yes=False))

        assert await words(replies) == ["False"]
    assert [entry["by"] for entry in log if entry["event"] == "wait.answer_of_wrong_type"] == ["ann"]


@both
async def test_a_subclass_of_the_wanted_type_is_taken(system: System) -> None:
    @miniagent
    async def reads(ctx: InteractionContext) -> None:
        ctx.reply(type(await ctx.wait_for("text", type=TextMessage)).__name__)

    async with system() as mini:
        replies = reads.inquire()
        await turns()
        await mini.deliver("", "text", UserMessage("hello"))

        assert await words(replies) == ["UserMessage"]


@both
async def test_data_can_be_prompt_and_answer(system: System) -> None:
    @miniagent
    async def reads(ctx: InteractionContext) -> None:
        answer = await ctx.wait_for("data", prompt={"amount": 5}, type=DataMessage)
        ctx.reply(f"{answer['ok']}")

    async with system() as mini:
        replies = reads.inquire()
        await turns()
        assert (await mini.pending())[0].prompt == '{"amount":5}'
        await mini.deliver("", "data", {"ok": "fine"})

        assert await words(replies) == ["fine"]


@both
@pytest.mark.parametrize(
    ("job", "target", "text"),
    [
        ("nowhere", "approval", "'approval' of job 'nowhere' is unknown"),
        ("nowhere", "approval#1.0", "'approval#1.0' of job 'nowhere' is unknown"),
        ("", "approval#1000.0", "'approval#1000.0', outside of jobs, is unknown"),
    ],
)
async def test_an_answer_to_nothing_is_refused(system: System, job: str, target: str, text: str) -> None:
    async with system() as mini:
        with pytest.raises(AnswerRefusedError, match=text) as refused:
            await mini.deliver(job, target, "yes")
        assert refused.value.reason == "unknown"


@pytest.mark.parametrize("name", ["", "a#b", 7, None])
async def test_a_wait_without_a_proper_name_is_refused(name: Any) -> None:
    @miniagent
    async def nameless(ctx: InteractionContext) -> None:
        await ctx.wait_for(name)

    async with MiniAgents():
        with pytest.raises(InvalidOptionError, match="the name of a wait"):
            await nameless.inquire()


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": float("inf")}, {"type": "Decision"}, {"type": str}])
async def test_options_of_a_wait_are_checked(options: Any) -> None:
    @miniagent
    async def careless(ctx: InteractionContext) -> None:
        await ctx.wait_for("approval", **options)

    async with MiniAgents() as mini:
        with pytest.raises(InvalidOptionError, match="wait_for"):
            await careless.inquire()
        assert await mini.pending() == ()


async def test_an_answer_larger_than_the_journal_takes_is_refused() -> None:
    async with MiniAgents(journal=MemoryJournal(max_message_bytes=1000), durable_agents=True) as mini:
        with pytest.raises(MessageTooLargeError):
            await mini.deliver("", "approval", "x" * 2000)


async def test_a_system_that_does_not_run_takes_no_answers() -> None:
    mini = MiniAgents()
    for call in (mini.pending, lambda: mini.deliver("", "approval", "yes")):
        with pytest.raises(SystemNotRunningError):
            await call()


@both
async def test_a_wait_shows_its_owner_and_an_answer_is_by_the_caller(system: System) -> None:
    async with system() as mini:
        current_caller.set(Caller("ada"))
        replies = asks.inquire()
        await turns()
        assert [wait.owner for wait in await mini.pending()] == ["ada"]
        await mini.deliver("", "approval", "yes")
        await replies
        with pytest.raises(AnswerRefusedError, match="by 'ada'"):
            await mini.deliver("", "approval", "yes")


@both
async def test_a_call_that_is_tried_again_gets_the_same_answer(system: System) -> None:
    attempts: list[str] = []

    @miniagent(retry=RetryPolicy(attempts=2))
    async def fails_first(ctx: InteractionContext) -> None:
        attempts.append(str(await ctx.wait_for("approval")))
        if len(attempts) == 1:
            raise ValueError("again")
        ctx.reply("done")

    async with system() as mini:
        replies = fails_first.inquire()
        await turns()
        await mini.deliver("", "approval", "yes")
        assert await words(replies) == ["done"]
    assert attempts == ["yes", "yes"]


async def test_the_answer_to_a_call_that_is_in_no_journal_is_found_beside_those_that_are() -> None:
    @miniagent(durable=True)
    async def keeps(ctx: InteractionContext) -> None:
        ctx.reply(f"got {await ctx.wait_for('durable')}")

    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = [asks.inquire(), keeps.inquire()]
        await turns()
        assert [wait.name for wait in await mini.pending()] == ["approval", "durable"]
        await mini.deliver("", "durable", "one")
        await mini.deliver("", "approval", "two")

        assert [await words(reply) for reply in replies] == [["got two"], ["got one"]]


async def test_the_end_of_the_system_leaves_a_wait_open_in_the_journal() -> None:
    journal = MemoryJournal()
    with pytest.raises(KeyError):
        async with MiniAgents(journal=journal) as mini:
            mini.run_job("job", asks)
            await asyncio.sleep(10)
            raise KeyError
    journal.open()
    (wait,) = await journal.read(Waits("job"))
    assert wait.state is WaitState.WAITING


async def test_a_wait_of_a_call_that_a_job_does_not_come_to_again_is_listed_no_more() -> None:
    """What the call was asked for has changed, so that another call waits in its place."""
    drafts = iter(["first draft", "second draft"])

    @miniagent(version="1")
    async def publishes(ctx: InteractionContext) -> None:
        ctx.reply(await asks.inquire(next(drafts)))

    journal = MemoryJournal()

    async def begins(mini: MiniAgents) -> str:
        mini.run_job("job", publishes)
        await turns()
        (wait,) = await mini.pending()
        raise Died(wait.id)

    async def goes_on(mini: MiniAgents) -> tuple[str, str]:
        replies = mini.run_job("job", publishes)
        await turns()
        (wait,) = await mini.pending()
        await mini.deliver("job", "approval", "yes")
        return wait.id, str(await replies)

    with pytest.raises(Died) as first:
        await lived(journal, begins)
    second, result = await lived(journal, goes_on)

    assert str(first.value) != second
    assert result == "got yes"


async def test_a_wait_of_a_call_without_a_job_ends_with_its_process() -> None:
    journal = MemoryJournal()

    async def begins(mini: MiniAgents) -> None:
        asks.inquire().start_whole()
        await turns()
        assert len(await mini.pending()) == 1
        raise Died

    async def goes_on(mini: MiniAgents) -> str:
        assert await mini.pending() == ()
        replies = asks.inquire()
        await turns()
        await mini.deliver("", "approval", "yes")
        return str(await replies)

    with pytest.raises(Died):
        await lived(journal, begins)

    assert await lived(journal, goes_on) == "got yes"


async def test_a_cancelled_job_waits_for_nothing() -> None:
    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("job", asks)
        await turns()
        assert len(await mini.pending("job")) == 1
        await mini.cancel_job("job")
        with pytest.raises(PromiseCancelledError):
            await replies

        assert await mini.pending() == ()
        with pytest.raises(AnswerRefusedError, match="its job has ended"):
            await mini.deliver("job", "approval", "yes")


async def test_a_finished_job_takes_no_answer() -> None:
    async with MiniAgents(journal=MemoryJournal()) as mini:
        replies = mini.run_job("job", asks)
        await turns()
        await mini.deliver("job", "approval", "yes", by="ada")
        await replies
        await turns()
        with pytest.raises(AnswerRefusedError, match="has an answer already, given by 'ada'") as taken:
            await mini.deliver("job", "approval", "no", by="bob")
        assert (taken.value.reason, taken.value.by) == ("taken", "ada")
        with pytest.raises(AnswerRefusedError, match="its job has ended") as refused:
            await mini.deliver("job", "another", "yes")
        assert refused.value.reason == "ended"


# Restarts


@pytest.mark.parametrize("at", range(9))
async def test_an_answer_is_asked_for_once_wherever_the_process_dies(at: int) -> None:
    asked: set[str] = set()
    answered: list[str] = []

    @miniagent
    async def twice(ctx: InteractionContext) -> None:
        ctx.reply(f"{await ctx.wait_for('first')} {await ctx.wait_for('second')}")

    async def answer(mini: MiniAgents) -> None:
        while len(answered) < 2:
            await asyncio.sleep(1)
            for wait in await mini.pending():
                asked.add(wait.id)
                await mini.deliver(wait.job, wait.name, f"answer {wait.name}")
                answered.append(wait.name)

    async def program(mini: MiniAgents) -> str:
        answering = asyncio.ensure_future(answer(mini))
        try:
            return str(await mini.run_job("job", twice))
        finally:
            answering.cancel()

    result, has_died = await lived_twice(program, at=at)

    assert result == "answer first answer second"
    assert answered == ["first", "second"]  # what was confirmed to the one who answered is not asked again
    assert has_died == (at < 9)


async def test_an_answer_that_comes_while_the_job_does_not_run_is_there_when_it_is_resumed() -> None:
    journal = MemoryJournal()

    async def waits(mini: MiniAgents) -> str:
        return str(await mini.run_job("job", asks))

    async def answers(mini: MiniAgents) -> None:
        (wait,) = await mini.pending()
        assert await mini.deliver("job", "approval", "tomorrow") == wait.id

    died = asyncio.Event()
    asyncio.get_running_loop().call_later(10, died.set)
    with pytest.raises(Died):
        await lived(journal, waits, died)
    await lived(journal, answers)
    assert await lived(journal, waits) == "got tomorrow"


async def test_after_a_restart_only_the_rest_of_a_timeout_is_waited_for() -> None:
    journal = MemoryJournal()
    loop = asyncio.get_running_loop()

    async def waits(mini: MiniAgents) -> str:
        return str(await mini.run_job("job", asks.fork(timeout=1000)))

    began = loop.time()
    died = asyncio.Event()
    loop.call_later(700, died.set)
    with pytest.raises(Died):
        await lived(journal, waits, died)
    await asyncio.sleep(100)
    with pytest.raises(DeadlineExceededError):
        await lived(journal, waits)
    assert loop.time() - began == pytest.approx(1000, abs=1)


async def test_a_process_that_dies_while_a_job_only_waits_does_not_count_against_the_job() -> None:
    journal = MemoryJournal()
    loop = asyncio.get_running_loop()

    @miniagent
    async def middle(ctx: InteractionContext) -> None:
        ctx.reply(await asks.inquire())

    async def waits(mini: MiniAgents) -> str:
        return str(await mini.run_job("job", middle))

    for number in range(5):
        died = asyncio.Event()
        journal = MemoryJournal.after_death(journal, die_at=None)
        loop.call_later(10 + number, died.set)
        with pytest.raises(Died):
            await killed(journal, waits, died)

    async def answers(mini: MiniAgents) -> str:
        replies = mini.run_job("job", middle)
        await mini.deliver("job", "approval", "yes")
        return str(await replies)

    assert await lived(journal.after_death(), answers) == "got yes"


async def killed(journal: MemoryJournal, program: Any, died: asyncio.Event) -> Any:
    """Run a program until it is killed: the process writes nothing more."""
    died_at_once = asyncio.Event()

    async def dies() -> None:
        await died.wait()
        journal.is_dead = True
        died_at_once.set()

    dying = asyncio.ensure_future(dies())
    try:
        return await lived(journal, program, died_at_once)
    finally:
        dying.cancel()


@pytest.mark.parametrize("limit", [1, 2])
async def test_jobs_that_only_wait_do_not_hold_up_those_that_are_resumed_after_them(limit: int) -> None:
    journal = MemoryJournal()

    async def begins(mini: MiniAgents) -> None:
        for number in range(5):
            mini.run_job(f"job {number}", asks)
        await asyncio.sleep(1)
        raise KeyError

    with pytest.raises(KeyError):
        await lived(journal, begins)

    async with MiniAgents(journal=journal) as mini:
        async with asyncio.timeout(60):
            resumed = await mini.resume_all(max_concurrency=limit)
        assert len(resumed) == 5
        for number in range(5):
            await mini.deliver(f"job {number}", "approval", f"{number}")
        assert [str(await replies) for replies in resumed.values()] == [f"got {number}" for number in range(5)]


# Changed code

seen: list[str] = []


async def waiter(ctx: InteractionContext) -> None:
    for name in ("first", "second"):
        seen.append(f"{ctx.this_agent.options.version} got {await ctx.wait_for(name)}")
    ctx.reply(seen[-1])


async def boss(ctx: InteractionContext) -> None:
    ctx.reply(await agents["waiter"].inquire())


agents: dict[str, Any] = {}
code = (waiter, boss)


def change_code(monkeypatch: pytest.MonkeyPatch, **versions: str) -> Any:
    """Make the agents of this module again, as another version of it does."""
    for function in code:
        agent: Any = miniagent(version=versions[function.__name__])(function)
        agents[function.__name__] = agent
        monkeypatch.setitem(globals(), function.__name__, agent)
    return agents["boss"]


@pytest.mark.parametrize("answered", [(), ("first",), ("first", "second")])
@pytest.mark.parametrize("changed", ["waiter", "boss"])
async def test_an_answer_reaches_the_wait_of_the_same_name_in_changed_code(
    changed: str, answered: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = MemoryJournal()
    seen.clear()

    async def first(mini: MiniAgents) -> None:
        mini.run_job("job", change_code(monkeypatch, waiter="1", boss="1"))
        await turns()
        for name in answered[:1]:
            await mini.deliver("job", name, f"yes to {name}")
            await turns()
        raise Died

    async def between(mini: MiniAgents) -> None:  # the job does not run
        for name in answered[1:]:
            await mini.deliver("job", name, f"yes to {name}")

    async def second(mini: MiniAgents) -> str:
        versions = {"waiter": "1", "boss": "1", changed: "2"}
        replies = mini.run_job("job", change_code(monkeypatch, **versions))
        await turns()
        for name in ("first", "second"):
            if name not in answered:
                assert [wait.name for wait in await mini.pending("job")] == [name]
                await mini.deliver("job", name, f"yes to {name}")
                await turns()
        assert await mini.pending("job") == ()
        return str(await replies)

    with pytest.raises(Died):
        await lived(journal, first)
    await lived(journal, between)
    result = await lived(journal, second)

    version = "2" if changed == "waiter" else "1"
    assert result == f"{version} got yes to second"
    assert seen[-2:] == [f"{version} got yes to first", f"{version} got yes to second"]


@pytest.mark.parametrize("at", range(10))
async def test_an_answer_is_consumed_in_the_transaction_that_records_it(at: int) -> None:
    died = asyncio.Event()
    journal = MemoryJournal(die_at=at, on_death=died.set)

    async def program(mini: MiniAgents) -> None:
        replies = mini.run_job("job", asks)
        await turns()
        await mini.deliver("job", "approval", "yes")
        await replies

    with suppress(Died):
        await lived(journal, program, died)

    survivor = journal.after_death()
    survivor.open()
    waits = await survivor.read(Waits("job", tuple(WaitState)))
    records = [record for wait in waits for record in await survivor.read(Records(wait.id.row))]
    recorded = [record.value is not None for record in records if record.kind == "answer"]
    consumed = [True for wait in waits if wait.state is WaitState.CONSUMED]
    assert consumed == recorded
    assert bool(recorded) == (at > 6)
