"""Jobs: named roots of calls."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from miniagents import (
    Caller,
    Change,
    InteractionContext,
    InvalidOptionError,
    JobConflictError,
    JobStuckError,
    MiniAgent,
    MiniAgents,
    PromiseCancelledError,
    RemoteError,
    Retry,
    errors,
    gather,
    miniagent,
)
from miniagents.agents.durable.jobs import JobInput
from miniagents.journal import FinishRow, JobState, MemoryJournal, RowState
from miniagents.messages import decode
from tests.agents.durable.lives import Killed, life, rows

calls: Counter[str] = Counter()
answers = {"fails": True}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()
    answers["fails"] = True


@miniagent
async def counted(ctx: Any) -> None:
    text = str(await ctx.message_promises)
    calls[text] += 1
    ctx.reply(f"{text}-{calls[text]}")


@miniagent
async def may_fail(ctx: Any) -> None:
    calls["may_fail"] += 1
    answer = await counted.inquire("below")
    if answers["fails"]:
        raise ValueError(f"no: {answer}")
    ctx.reply(answer)


@miniagent
async def root(ctx: Any) -> None:
    calls["root"] += 1
    ctx.reply(await counted.inquire("one"))
    ctx.reply(await may_fail.inquire())


@miniagent
async def waits_for_ever(ctx: Any) -> None:
    calls["waits"] += 1
    ctx.reply(await counted.inquire("first"))
    await counted_forever.inquire()


@miniagent
async def counted_forever(ctx: Any) -> None:
    await asyncio.sleep(1e9)


def _system(journal: MemoryJournal) -> MiniAgents:
    return MiniAgents(journal=journal, durable_agents=True)


def _state(journal: MemoryJournal, job: str) -> JobState:
    model: Any = getattr(journal, "_model")  # noqa: B009
    state: JobState = model.jobs.jobs[job].state
    return state


async def test_a_failed_job_that_is_run_again_pays_only_for_what_failed() -> None:
    journal = MemoryJournal()
    async with _system(journal) as mini:
        with pytest.raises(ValueError, match="no: below-1") as caught:
            await mini.run_job("j", root)
        assert "Retry.FAILED" in "".join(caught.value.__notes__)
    assert _state(journal, "j") is JobState.FAILED
    answers["fails"] = False
    async with _system(journal) as mini:
        assert str(await mini.run_job("j", root)) == "one-1\n\nbelow-1"

    assert calls == {"root": 2, "one": 1, "may_fail": 2, "below": 1}
    assert _state(journal, "j") is JobState.FINISHED


async def test_retry_failed_throws_away_the_answers_that_led_to_the_failure() -> None:
    journal = MemoryJournal()
    async with _system(journal) as mini:
        with pytest.raises(ValueError, match="no"):
            await mini.run_job("j", root)
        answers["fails"] = False
        assert str(await mini.run_job("j", root, retry=Retry.FAILED)) == "one-1\n\nbelow-2"


@pytest.mark.parametrize(("ends", "retry"), [("well", Retry.FAILED), ("badly", Retry.FAILED), ("badly", None)])
async def test_a_job_that_is_run_again_leaves_a_finished_call_alone_that_has_handled_a_failure_below_it(
    ends: str, retry: Retry | None
) -> None:
    asked: Counter[str] = Counter()
    broken = {"two"}

    @miniagent
    async def attempt(ctx: Any, document: str, number: int) -> None:
        asked[f"{document} {number}"] += 1
        if number == 1 or document in broken:
            raise ValueError(document)
        ctx.reply(document)

    @miniagent
    async def reader(ctx: Any, document: str) -> None:
        try:
            ctx.reply(await attempt.inquire(document=document, number=1))
        except ValueError:
            ctx.reply(await attempt.inquire(document=document, number=2))

    @miniagent
    async def swarm(ctx: Any) -> None:
        replies = await gather(*[reader.inquire(document=name) for name in ("one", "two")], return_exceptions=True)
        failures = [reply for reply in replies if isinstance(reply, BaseException)]
        ctx.reply(f"{len(failures)} failed")
        if failures and ends == "badly":
            raise ValueError("a document failed")

    async with _system(MemoryJournal()) as mini:
        if ends == "badly":
            with pytest.raises(ValueError, match="a document failed"):
                await mini.run_job("j", swarm)
        else:
            assert str(await mini.run_job("j", swarm)) == "1 failed"
        broken.clear()
        assert str(await mini.run_job("j", swarm, retry=retry)) == "0 failed"
    assert asked == {"one 1": 1, "one 2": 1, "two 1": 2, "two 2": 2}


async def test_retry_all_asks_for_everything_again() -> None:
    async with _system(MemoryJournal()) as mini:
        answers["fails"] = False
        await mini.run_job("j", root)
        assert str(await mini.run_job("j", root, retry=Retry.ALL)) == "one-2\n\nbelow-2"


async def test_retry_from_an_agent_asks_again_for_what_is_below_it_and_above_it_nothing_else() -> None:
    async with _system(MemoryJournal()) as mini:
        answers["fails"] = False
        await mini.run_job("j", root)
        assert str(await mini.run_job("j", root, retry=Retry.from_("/agents/may_fail"))) == "one-1\n\nbelow-2"
        with pytest.raises(InvalidOptionError, match=r"nobody.*alias of the agent"):
            await mini.run_job("j", root, retry=Retry.from_("nobody"))


async def test_a_job_under_the_name_of_a_running_one_joins_it() -> None:
    async with _system(MemoryJournal()) as mini:
        one, two = mini.run_job("j", counted, "a"), mini.run_job("j", counted, "a")
        assert str(await one) == str(await two) == "a-1"


async def test_a_job_under_the_name_of_another_one_is_refused_and_the_difference_named() -> None:
    async with _system(MemoryJournal()) as mini:
        await mini.run_job("j", counted, "a")
        with pytest.raises(JobConflictError, match="message 0 is 'a', not 'b'"):
            await mini.run_job("j", counted, "b")
        with pytest.raises(JobConflictError, match=r"its agent is .*counted"):
            await mini.run_job("j", may_fail, "a")


async def test_a_job_with_another_live_argument_is_refused_and_the_difference_named() -> None:
    one, other = (keyed.fork(non_freezable_kwargs={"thing": thing}) for thing in (len, abs))
    answers["fails"] = False
    async with _system(MemoryJournal()) as mini:
        await mini.run_job("j", one, "a")
        with pytest.raises(JobConflictError, match="its live arguments, or their code, are others"):
            await mini.run_job("j", other, "a")
        with pytest.raises(JobConflictError, match="it has 1 messages, not 2"):
            await mini.run_job("j", one, ["a", "b"])


_gates = list[asyncio.Event]()


@pytest.fixture
def gate() -> Iterator[asyncio.Event]:
    _gates.append(asyncio.Event())
    yield _gates[-1]
    _gates.clear()


@miniagent
async def gated(ctx: Any, more: str = "") -> None:
    await _gates[-1].wait()
    ctx.reply(str(await ctx.message_promises))


@pytest.mark.parametrize("turns", [0, 20])  # it opens, and runs
async def test_the_difference_to_a_running_job_is_named(gate: asyncio.Event, turns: int) -> None:
    async with _system(MemoryJournal()) as mini:
        running = mini.run_job("j", gated, "a")
        for _ in range(turns):
            await asyncio.sleep(0)
        with pytest.raises(JobConflictError, match="message 0 is 'a', not 'b'"):
            await mini.run_job("j", gated, "b")
        with pytest.raises(JobConflictError, match=r"it has the arguments {}, not {'more': 'x'}"):
            await mini.run_job("j", gated, "a", more="x")
        with pytest.raises(JobConflictError, match=r"its agent is .*gated, not .*counted"):
            await mini.run_job("j", counted, "a")
        gate.set()
        assert str(await running) == "a"


async def test_retry_of_a_running_job_is_refused_and_the_job_goes_on(gate: asyncio.Event) -> None:
    async with _system(MemoryJournal()) as mini:
        running = mini.run_job("j", gated, "a")
        with pytest.raises(JobConflictError, match=r"job 'j' runs in this process.*cancel_job\('j'\)"):
            await mini.run_job("j", gated, "a", retry=Retry.ALL)
        gate.set()
        assert str(await running) == "a"
        assert str(await mini.run_job("j", gated, "a", retry=Retry.ALL)) == "a"


async def test_a_job_that_was_cancelled_stays_cancelled_until_it_is_freed() -> None:
    journal = MemoryJournal()
    async with _system(journal) as mini:
        promise = mini.run_job("j", waits_for_ever)
        assert str(await anext(aiter(promise))) == "first-1"
        assert await mini.cancel_job("j")
        with pytest.raises(PromiseCancelledError):
            await promise
    assert _state(journal, "j") is JobState.CANCELLED
    states = {row.agent.rpartition("#")[2]: row.state for row in rows(journal).values()}
    assert states["waits_for_ever"] is states["counted_forever"] is RowState.CANCELLED
    async with _system(journal) as mini:
        with pytest.raises(PromiseCancelledError, match="was cancelled"):
            await mini.run_job("j", waits_for_ever)
        assert not await mini.cancel_job("j")
        promise = mini.run_job("j", waits_for_ever, retry=Retry.FAILED)
        assert str(await anext(aiter(promise))) == "first-1"
        promise.cancel()


async def test_the_end_of_the_system_is_no_end_of_a_job() -> None:
    journal = MemoryJournal()
    with pytest.raises(KeyError):
        async with _system(journal) as mini:
            assert str(await anext(aiter(mini.run_job("j", waits_for_ever)))) == "first-1"
            raise KeyError
    assert _state(journal, "j") is JobState.RUNNING
    states = {row.agent.rpartition("#")[2]: row.state for row in rows(journal).values()}
    assert states == {
        "waits_for_ever": RowState.RUNNING,
        "counted": RowState.FINISHED,
        "counted_forever": RowState.RUNNING,
    }
    async with _system(journal) as mini:
        assert [job.name for job in await mini.unfinished_jobs()] == ["j"]
        assert str(await anext(aiter(mini.run_job("j", waits_for_ever)))) == "first-1"
        await mini.cancel_job("j")
    assert calls["first"] == 1


async def test_the_calls_of_a_job_that_does_not_run_are_cancelled_in_one_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = MemoryJournal()
    with pytest.raises(KeyError):
        async with _system(journal) as mini:
            await anext(aiter(mini.run_job("j", waits_for_ever)))
            raise KeyError
    async with _system(journal) as mini:
        writes: list[tuple[Any, ...]] = []
        write = journal.write

        def noted(*operations: Any) -> Any:
            writes.append(operations)
            return write(*operations)

        monkeypatch.setattr(journal, "write", noted)
        assert await mini.cancel_job("j")
    ends = [operations for operations in writes if isinstance(operations[0], FinishRow)]
    states = {row.agent.rpartition("#")[2]: row.state for row in rows(journal).values()}

    assert [len(operations) for operations in ends] == [2]
    assert states["waits_for_ever"] is states["counted_forever"] is RowState.CANCELLED
    assert states["counted"] is RowState.FINISHED


def test_a_job_that_kills_its_process_three_times_is_stuck_until_it_is_freed() -> None:
    @miniagent(version="1")
    async def deadly(ctx: Any) -> None:
        calls["deadly"] += 1
        if answers["fails"]:
            setattr(journal, "_die_at", getattr(journal, "_writes"))  # noqa: B009, B010
            await counted.inquire()
        ctx.reply("survived")

    async def program(journal: MemoryJournal) -> str:
        async with _system(journal) as mini:
            return str(await mini.run_job("j", deadly))

    async def freed(journal: MemoryJournal) -> str:
        async with _system(journal) as mini:
            return str(await mini.run_job("j", deadly, retry=Retry.FAILED))

    journal = MemoryJournal()
    for _ in range(3):
        with pytest.raises(Killed):
            life(journal, program)
        journal = journal.after_death()
    with pytest.raises(JobStuckError, match="3 times"):
        life(journal, program)
    assert calls["deadly"] == 3
    assert _state(journal, "j") is JobState.STUCK
    answers["fails"] = False
    with pytest.raises(JobStuckError):
        life(journal.after_death(), program)
    assert life(journal.after_death(), freed) == "survived"


async def test_all_unfinished_jobs_are_resumed_a_few_at_a_time() -> None:
    journal = MemoryJournal()
    with pytest.raises(KeyError):
        async with _system(journal) as mini:
            for number in range(5):
                await anext(aiter(mini.run_job(f"j{number}", slow, str(number))))
            raise KeyError
    answers["fails"] = False
    calls.clear()
    async with _system(journal) as mini:
        resumed = await mini.resume_all(max_concurrency=2)
        assert sorted(resumed) == ["j0", "j1", "j2", "j3", "j4"]
        assert [str(await promise) for promise in resumed.values()] == [f"{n}-1\n\ndone" for n in range(5)]
    assert calls["most"] == 2


@miniagent
async def slow(ctx: Any) -> None:
    calls["now"] += 1
    calls["most"] = max(calls["most"], calls["now"])
    ctx.reply(await counted.inquire(ctx.message_promises))
    await asyncio.sleep(1e9 if answers["fails"] else 1)
    calls["now"] -= 1
    ctx.reply("done")


@miniagent(passivate_after=10)
async def says_who(ctx: InteractionContext) -> None:
    assert ctx.caller is not None
    await ctx.wait_for("approval")
    ctx.reply(f"{ctx.caller.name} {ctx.caller.claims['groups']}")


async def test_a_job_that_goes_on_in_another_process_does_so_on_behalf_of_the_caller_who_started_it() -> None:
    journal = MemoryJournal()
    with pytest.raises(KeyError):
        async with _system(journal) as mini:
            for name in ("resumed", "run again"):
                with Caller("ann", {"groups": ["staff"]}).acting():
                    mini.run_job(name, says_who)
            await asyncio.sleep(1)
            raise KeyError

    async with _system(journal) as mini:
        with Caller("bob", {"groups": []}).acting():
            run_again = mini.run_job("run again", says_who)
        resumed = (await mini.resume_all())["resumed"]
        await asyncio.sleep(20)
        assert not mini.interactions(), "both jobs are passive"
        for wait in await mini.pending():
            await mini.deliver(wait.job, wait.id, "yes")

        assert [str(await replies) for replies in (resumed, run_again)] == ["ann ('staff',)"] * 2


def test_the_input_of_a_job_of_an_older_version_is_read_as_that_of_a_job_without_a_caller() -> None:
    of_0_1 = (
        b"\x9a\x02\xb3miniagents:JobInput\xa5agent\xa1a\xafagent_arguments\x91\x01\xa9arguments\x91\x01"
        b"\xa8messages\x91\x00"
    )

    assert decode(of_0_1) == JobInput(agent="a", caller=None)


@miniagent
async def named(ctx: Any, name: str = "nobody") -> None:
    ctx.reply(name)


@miniagent
async def asks_others(ctx: Any, first: MiniAgent, others: tuple[MiniAgent, ...]) -> None:
    if answers["fails"]:
        await asyncio.sleep(1e9)
    ctx.reply([agent.inquire() for agent in (first, *others)])


async def test_a_job_whose_arguments_are_agents_is_resumed_with_these_agents() -> None:
    journal = MemoryJournal()
    answers["fails"] = True
    with pytest.raises(KeyError):
        async with _system(journal) as mini:
            mini.run_job("j", asks_others.fork(first=named.fork(name="ann")), others=(named, named.fork(name="bob")))
            await asyncio.sleep(1)
            raise KeyError
    answers["fails"] = False

    async with _system(journal) as mini:
        (replies,) = (await mini.resume_all()).values()
        assert [str(reply) for reply in await replies] == ["ann", "nobody", "bob"]


@miniagent
async def keyed(ctx: Any, api_key: Any = None, size: int = 1, thing: Any = None) -> None:
    ctx.reply(f"{size} {api_key is not None} {thing is not None}")
    if answers["fails"]:
        await asyncio.sleep(1e9)


keyed_fork = keyed.fork(alias="keyed-fork", api_key="secret", size=2, non_freezable_kwargs={"thing": counted})


async def test_a_fork_with_a_secret_and_live_arguments_is_found_among_the_variables_of_the_program() -> None:
    journal = MemoryJournal()
    with pytest.raises(KeyError):
        async with _system(journal) as mini:
            await anext(aiter(mini.run_job("fork", keyed_fork)))
            await anext(aiter(mini.run_job("of no variable", keyed.fork(size=3))))
            raise KeyError
    answers["fails"] = False
    async with _system(journal) as mini:
        resumed = await mini.resume_all()
        heard = {name: str(await promise) for name, promise in resumed.items()}

    assert heard == {"fork": "2 True True", "of no variable": "3 False False"}


class _Refused(Exception):
    pass


@errors.register
class _Known(Exception):
    pass


async def test_a_recorded_error_comes_back_as_a_remote_error_unless_its_class_is_registered() -> None:
    journal, seen = MemoryJournal(), []

    @miniagent
    async def fails(ctx: Any, error: str) -> None:
        calls[error] += 1
        if calls[error] == 1:
            raise (_Refused if error == "refused" else _Known)("no")

    @miniagent(version="1")
    async def tries(ctx: Any) -> None:
        for error in ("refused", "known"):
            try:
                await fails.inquire(error=error)
            except Exception as caught:
                seen.append(type(caught))
                await fails.inquire(error=error)
        if answers["fails"]:
            raise ValueError("later")

    async with _system(journal) as mini:
        with pytest.raises(ValueError, match="later"):
            await mini.run_job("j", tries)
    answers["fails"] = False
    async with _system(journal) as mini:
        await mini.run_job("j", tries)

    assert seen == [_Refused, _Known, RemoteError, _Known]
    assert calls == {"refused": 2, "known": 2}


async def test_changed_code_runs_again_or_is_refused_and_what_lies_below_may_be_adopted() -> None:
    def version(number: str) -> Any:
        @miniagent(version=number, alias="changing")
        async def changing(ctx: Any) -> None:
            calls["changing"] += 1
            ctx.reply(f"{number}: {await counted.inquire('x')}")

        return changing

    async def run(number: str, **options: Any) -> str:
        async with _system(journal) as mini:
            return str(await mini.run_job("j", version(number), **options))

    journal = MemoryJournal()
    assert await run("1") == "1: x-1"
    with pytest.raises(JobConflictError, match="changing has changed, and 2 recorded"):
        await run("2", on_change=Change.FAIL)
    assert await run("2", on_change=Change.ADOPT) == "2: x-1"
    assert await run("3") == "3: x-2"
    assert await run("3") == "3: x-2"
    assert calls == {"changing": 3, "x": 2}


async def test_a_system_without_a_journal_has_no_jobs() -> None:
    async with MiniAgents() as mini:
        with pytest.raises(InvalidOptionError, match="no journal"):
            mini.run_job("j", counted, "a")
