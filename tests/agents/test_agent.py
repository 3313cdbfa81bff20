"""Agents: functions and classes behind mailboxes, calls, forks, errors, what runs and how it is stopped."""

import asyncio
import gc
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from miniagents import (
    AgentRef,
    ChildSpec,
    ErrorMessage,
    EventKind,
    InteractionContext,
    Mailbox,
    MiniAgents,
    OneForOne,
    Overflow,
    RetryPolicy,
    SimpleOneForOne,
    SpawnOptions,
    Supervisor,
    TextMessage,
    miniagent,
)
from miniagents.errors import (
    ActorStoppedError,
    AgentArgumentError,
    AppenderClosedError,
    AskTimeoutError,
    DeadlockError,
    DroppedError,
    HandlerTimeoutError,
    InvalidOptionError,
    MailboxFullError,
    NoActiveSystemError,
    NotSendableError,
    PromiseCancelledError,
    StartError,
    SystemNotRunningError,
    WrongThreadError,
)
from tests.actors.actors import Read, turns


@miniagent
async def echo(ctx: InteractionContext) -> None:
    """Says what it was told."""
    async for message in ctx.message_promises:
        ctx.reply(f"echo: {await message}")


@miniagent
async def fails(ctx: InteractionContext, text: str = "bad") -> None:
    ctx.reply("before")
    raise ValueError(text)


@miniagent
async def sleeper(ctx: InteractionContext, log: Any = None, seconds: float = 1000.0) -> None:
    try:
        await asyncio.sleep(seconds)
        ctx.reply("slept")
    except asyncio.CancelledError:
        if log is not None:
            log.append("cancelled")
        raise


@miniagent
class Counter:
    """Counts its calls."""

    def __init__(self, start: int = 0, log: Any = None) -> None:
        self.n = start
        if log is not None:
            log.append("made")

    async def __call__(self, ctx: InteractionContext, crash: bool = False, seconds: float = 0.0) -> None:
        self.n += 1
        await asyncio.sleep(seconds)
        if crash:
            raise RuntimeError("crash")
        ctx.reply(str(self.n))


async def words(promise: Any) -> list[str]:
    return [str(message) for message in await promise]


async def test_a_call_is_answered_with_what_the_agent_replies() -> None:
    async with MiniAgents():
        assert await words(echo.inquire(["a", "b"])) == ["echo: a", "echo: b"]
        assert await words(echo.trigger("c")) == ["echo: c"]


async def test_work_starts_as_soon_as_the_loop_turns_and_a_lazy_call_when_somebody_asks() -> None:
    log: list[str] = []

    @miniagent
    async def notes(ctx: InteractionContext, name: str) -> None:
        log.append(name)

    async with MiniAgents():
        notes.inquire(name="soon")
        lazy = notes.inquire(name="lazy", start_soon=False)
        await turns()
        assert log == ["soon"]
        await lazy
        assert log == ["soon", "lazy"]


async def test_what_cannot_be_sent_is_refused_at_once_and_nothing_is_left_half_done() -> None:
    async with MiniAgents() as system:
        with pytest.raises(NotSendableError, match="object"):
            echo.inquire(object())  # type: ignore[arg-type]
        await turns()
        assert system.interactions() == ()
        assert await words(echo.inquire(None)) == []


async def test_a_lazy_call_that_begins_while_its_system_ends_fails() -> None:
    heard: list[BaseException] = []
    lazy_calls: list[Any] = []

    @miniagent
    async def other(ctx: InteractionContext) -> None:
        ctx.reply("hello")

    @miniagent
    async def tidies_up(ctx: InteractionContext) -> None:
        await other.inquire()
        lazy = other.inquire(start_soon=False)
        lazy_calls.append(lazy)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1.5)  # by now the other agent has been stopped
            try:
                await lazy
            except SystemNotRunningError as error:
                heard.append(error)

    with pytest.raises(RuntimeError, match="enough"):
        async with MiniAgents(grace=10.0):
            tidies_up.inquire()
            await asyncio.sleep(1)
            raise RuntimeError("enough")

    assert len(heard) == 1
    assert [lazy.done() for lazy in lazy_calls] == [True]


async def test_a_lazy_call_that_nobody_consumes_settles_with_the_system() -> None:
    async with MiniAgents():
        lazy = echo.inquire("x", start_soon=False)
    with pytest.raises(PromiseCancelledError):
        await lazy


async def test_calls_of_a_function_run_concurrently_up_to_its_bound() -> None:
    running, most = 0, 0

    async def work(ctx: InteractionContext) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    for bound, expected in ((None, 10), (3, 3)):
        most = 0
        async with MiniAgents() as system:
            agent = miniagent(max_concurrency=bound, alias="work")(work)
            for _ in range(10):
                agent.inquire()
            await asyncio.sleep(0.5)
            assert len(system.interactions()) == 10
        assert most == expected


async def test_a_class_agent_serves_one_call_at_a_time_with_one_instance() -> None:
    async with MiniAgents():
        calls = [Counter.inquire(seconds=1.0) for _ in range(3)]  # type: ignore[attr-defined]
        assert [await words(call) for call in calls] == [["1"], ["2"], ["3"]]
        assert asyncio.get_running_loop().time() >= 1003


async def test_a_crash_of_a_class_agent_replaces_the_instance_behind_the_same_mailbox() -> None:
    async with MiniAgents() as system:
        ref = system.spawn(Counter, name="c", start=5)
        assert isinstance(ref, AgentRef)
        crashed, after = ref.inquire(crash=True), ref.inquire()
        with pytest.raises(RuntimeError, match="crash"):
            await crashed
        assert await words(after) == ["6"]
        assert system.tree("/c").restarts == 1


async def test_a_crash_of_a_function_agent_is_that_interactions_alone() -> None:
    async with MiniAgents() as system:
        good, bad = echo.inquire("x"), fails.inquire()
        with pytest.raises(ValueError, match="bad"):
            await bad
        assert await words(good) == ["echo: x"]
        info = system.tree("/agents/fails")
        assert (info.restarts, info.last_error) == (0, "ValueError: bad")


async def test_an_error_has_the_agent_trace_and_the_replies_before_it_are_delivered() -> None:
    @miniagent
    async def outer(ctx: InteractionContext) -> None:
        ctx.reply(fails.inquire())

    async with MiniAgents():
        found = []
        with pytest.raises(ValueError, match="bad") as info:
            async for message in outer.inquire():
                found.append(str(await message))
        assert found == ["before"]
        assert info.value.agent_trace == ("fails", "outer")  # type: ignore[attr-defined]
        assert "agent trace: fails <- outer" in info.value.__notes__


async def test_errors_as_messages_is_an_option_of_call_and_system_and_the_calls_own_value_wins() -> None:
    async with MiniAgents(errors_as_messages=True):
        whole = await fails.inquire()
        assert [str(message) for message in whole] == ["before", "ValueError: bad"]
        assert isinstance(whole[1], ErrorMessage)
        with pytest.raises(ValueError, match="bad"):
            await fails.inquire(errors_as_messages=False)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_keyboard_interrupt_and_system_exit_go_to_the_awaiter(error: type[BaseException]) -> None:
    @miniagent
    async def leaves(ctx: InteractionContext) -> None:
        raise error

    async with MiniAgents():
        with pytest.raises(error):
            await leaves.inquire()


async def test_a_failure_that_nobody_awaits_is_logged_once(log: list[Any]) -> None:
    async with MiniAgents():
        fails.inquire()
    import gc

    gc.collect()
    assert sum("unawaited" in entry["event"] for entry in log) == 1


async def test_arguments_are_checked_by_name_and_frozen() -> None:
    seen: list[Any] = []

    @miniagent
    async def takes(ctx: InteractionContext, items: Any, sink: Any = None) -> None:
        seen.append(items)

    async with MiniAgents():
        with pytest.raises(AgentArgumentError, match=r"'nothing'.*items"):
            takes.inquire(items=1, nothing=2)
        with pytest.raises(AgentArgumentError, match="needs an argument 'items'"):
            takes.inquire()
        with pytest.raises(AgentArgumentError, match="non_freezable_kwargs"):
            takes.inquire(items=object())
        mine = [1, 2]
        call = takes.inquire(items=mine)
        mine.append(3)
        await call
        assert seen == [(1, 2)]
        with pytest.raises(AgentArgumentError, match="'other'"):
            takes.fork(other=1)


async def test_a_parameter_whose_name_is_taken_is_filled_from_kwargs_only() -> None:
    @miniagent
    async def unlucky(ctx: InteractionContext, timeout: str) -> None:
        ctx.reply(timeout)

    async with MiniAgents():
        assert await words(unlucky.inquire(kwargs={"timeout": "mine"})) == ["mine"]
        with pytest.raises(AgentArgumentError, match="kwargs="):
            unlucky.inquire(timeout=5)


async def test_live_objects_go_through_non_freezable_kwargs_as_they_are() -> None:
    sink: list[str] = []

    @miniagent
    async def fills(ctx: InteractionContext, sink: list[str]) -> None:
        sink.append("filled")

    async with MiniAgents():
        await fills.fork(non_freezable_kwargs={"sink": sink}).inquire()
    assert sink == ["filled"]


async def test_equal_forks_share_one_actor_and_others_do_not() -> None:
    made: list[str] = []
    async with MiniAgents() as system:
        live = {"log": made}
        for start in (1, 1, 2):
            await Counter.fork(start=start, non_freezable_kwargs=live).inquire()  # type: ignore[attr-defined]
        assert made == ["made", "made"]
        assert [child.path for child in system.tree("/agents").children] == ["/agents/Counter", "/agents/Counter-1"]
        assert Counter.fork(start=1).fork(start=2) == Counter.fork(start=2)  # type: ignore[attr-defined]
        assert Counter.fork(start=1) != Counter.fork(start=2)  # type: ignore[attr-defined]
        assert Counter.fork(alias="other").alias == "other"  # type: ignore[attr-defined]


async def test_a_fork_is_passivated_when_idle_and_comes_back_fresh() -> None:
    async with MiniAgents() as system:
        fork = Counter.fork(start=10)  # type: ignore[attr-defined]
        assert await words(fork.inquire()) == ["11"]
        assert await words(fork.inquire()) == ["12"]
        await asyncio.sleep(61)
        assert system.tree("/agents").children == ()
        assert await words(fork.inquire()) == ["11"]


async def test_many_different_forks_leave_nothing_behind() -> None:
    async with MiniAgents() as system:
        for n in range(1000):
            await fails.fork(text=str(n)).inquire(errors_as_messages=True)
        await asyncio.sleep(61)
        assert system.tree("/agents").children == ()
        assert system._activations == {}
        assert system.interactions() == ()


def test_max_concurrency_on_a_class_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="max_concurrency"):

        @miniagent(max_concurrency=2)
        class Bad:
            async def __call__(self, ctx: InteractionContext) -> None: ...


def test_only_async_functions_and_classes_become_agents() -> None:
    with pytest.raises(TypeError, match="async"):
        miniagent(lambda ctx: None)


def test_alias_and_description_come_from_name_and_docstring() -> None:
    assert (echo.alias, echo.description) == ("echo", "Says what it was told.")


async def test_without_a_system_the_error_says_what_to_do() -> None:
    with pytest.raises(NoActiveSystemError, match="async with MiniAgents"):
        echo.inquire("x")


async def test_with_several_systems_bind_says_which() -> None:
    first, second = MiniAgents(), MiniAgents(name="second")
    first.activate()
    second.activate()
    try:
        bound = echo.bind(first)
        assert await words(bound.inquire("x")) == ["echo: x"]
        assert first.lookup("/agents/echo") is not None
        assert second.lookup("/agents/echo") is None
    finally:
        await second.afinalize()
        await first.afinalize()


async def test_an_agent_works_in_one_system_after_the_other() -> None:
    for _ in range(2):
        async with MiniAgents():
            assert await words(echo.inquire("x")) == ["echo: x"]


async def test_a_timeout_cancels_the_interaction_and_everything_below_it() -> None:
    log: list[str] = []

    @miniagent
    async def outer(ctx: InteractionContext) -> None:
        ctx.reply(await inner.inquire())

    inner = sleeper.fork(non_freezable_kwargs={"log": log})
    async with MiniAgents() as system:
        with pytest.raises(AskTimeoutError):
            await outer.inquire(timeout=2.0)
        await turns()
        assert log == ["cancelled"]
        assert system.interactions() == ()
        assert system.tree("/agents/outer").restarts == 0


async def test_cancelling_a_promise_cancels_everything_below_however_deep() -> None:
    log: list[str] = []
    bottom = sleeper.fork(non_freezable_kwargs={"log": log})

    @miniagent
    async def chain(ctx: InteractionContext, depth: int) -> None:
        ctx.reply(await (chain.inquire(depth=depth - 1) if depth else bottom.inquire()))

    async with MiniAgents() as system:
        promise = chain.inquire(depth=10)
        await turns(100)
        assert len(system.interactions()) == 12
        await promise.aclose("enough")
        assert log == ["cancelled"]
        assert system.interactions() == ()
        with pytest.raises(PromiseCancelledError, match="enough"):
            await promise


async def endless(log: list[str]) -> AsyncIterator[str]:
    try:
        while True:
            yield "word "
            await asyncio.sleep(1.0)
    finally:
        log.append("closed")


@miniagent
async def talker(ctx: InteractionContext, log: list[str], as_tokens: bool) -> None:
    """Hands its stream on, and returns."""
    ctx.reply(TextMessage.promise(message_token_streamer=lambda _: endless(log)) if as_tokens else endless(log))


@miniagent
async def passing_on(ctx: InteractionContext, agent: Any) -> None:
    ctx.reply(agent.inquire())


@pytest.mark.parametrize("as_tokens", [False, True], ids=["messages", "tokens"])
@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("how", ["cancel", "aclose", "deadline", "interaction"])
async def test_a_stream_that_an_agent_left_flowing_is_closed(how: str, depth: int, as_tokens: bool) -> None:
    log: list[str] = []
    agent: Any = talker.fork(as_tokens=as_tokens, non_freezable_kwargs={"log": log})
    for _ in range(depth):
        agent = passing_on.fork(non_freezable_kwargs={"agent": agent})
    async with MiniAgents():
        call = agent.initiate_call(timeout=60.0 if how == "deadline" else None)
        replies = call.reply_sequence()
        async for message in replies:
            async for _ in message:
                break
            break
        await turns()

        match how:
            case "cancel":
                replies.cancel("enough")
                await turns()
            case "aclose":
                await replies.aclose("enough")
            case "interaction":
                await call.interaction.cancel("enough")
            case "deadline":
                await asyncio.sleep(61.0)

        assert log == ["closed"]
        with pytest.raises(AskTimeoutError if how == "deadline" else PromiseCancelledError):
            await replies


async def test_a_call_above_that_is_cancelled_ends_the_streams_that_agents_below_left_flowing() -> None:
    log: list[str] = []
    agent = talker.fork(as_tokens=False, non_freezable_kwargs={"log": log})

    @miniagent
    async def reader(ctx: InteractionContext) -> None:
        await agent.inquire()

    async with MiniAgents():
        replies = reader.inquire()
        await turns()
        await replies.aclose("enough")
        assert log == ["closed"]


@pytest.mark.parametrize("agent", [echo, Counter], ids=["function", "class"])
async def test_nobody_waits_for_the_end_of_a_call_that_was_cancelled_before_its_first_step(agent: Any) -> None:
    async with MiniAgents() as system:
        call = agent.initiate_call()
        call.reply_sequence().cancel("enough")
        await turns()

        began = system.time()
        abandoned = await call.interaction.cancel("again")

        assert abandoned == ()
        assert system.time() == began


@pytest.mark.parametrize("agent", [echo, Counter], ids=["function", "class"])
async def test_a_call_that_is_cancelled_before_its_first_step_settles(agent: Any) -> None:
    for passes in range(6):
        async with MiniAgents() as system:
            promise = agent.inquire("x")
            await turns(passes)
            await promise.aclose("at once")
            assert promise.done()
            assert system.interactions() == ()
            assert [str(message) for message in await agent.inquire("y")] in (["echo: y"], ["1"], ["2"])


async def test_what_runs_is_listed_and_cancelled_with_everything_below_it() -> None:
    log: list[str] = []
    inner = sleeper.fork(non_freezable_kwargs={"log": log})

    @miniagent
    async def outer(ctx: InteractionContext) -> None:
        ctx.reply(await inner.inquire())

    async with MiniAgents() as system:
        promise = outer.inquire()
        await asyncio.sleep(3)
        top, below = system.interactions()
        assert (top.path, below.path, below.parent) == ("/agents/outer", "/agents/sleeper", top)
        assert top.age == pytest.approx(3.0)
        assert await top.cancel("stop") == ()
        assert log == ["cancelled"]
        assert system.interactions() == ()
        with pytest.raises(PromiseCancelledError, match="stop"):
            await promise


async def test_what_swallows_its_cancellation_is_reported_as_abandoned() -> None:
    @miniagent
    async def stubborn(ctx: InteractionContext) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(20)
        ctx.reply("too late")

    async with MiniAgents() as system:
        promise = stubborn.inquire()
        await turns()
        (one,) = system.interactions()
        abandoned = await one.cancel("stop", grace=5.0)
        assert abandoned == (one,)
        assert one.abandoned
        assert "stubborn" in one.stack
        with pytest.raises(PromiseCancelledError):
            await promise


async def test_a_cancelled_interaction_starts_nothing_more() -> None:
    started: list[Any] = []

    @miniagent
    async def sneaky(ctx: InteractionContext) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            try:
                echo.inquire("again")
            except PromiseCancelledError:
                started.append("refused")
            raise

    async with MiniAgents():
        promise = sneaky.inquire()
        await turns()
        await promise.aclose()
    assert started == ["refused"]


async def test_an_interaction_that_hangs_fails_by_handler_timeout() -> None:
    async with MiniAgents() as system:
        with pytest.raises(HandlerTimeoutError):
            await sleeper.fork(options=SpawnOptions(handler_timeout=2.0)).inquire()
        ref = system.spawn(Counter, name="c", options=SpawnOptions(handler_timeout=2.0))
        with pytest.raises(HandlerTimeoutError):
            await ref.inquire(seconds=100.0)
        assert await words(ref.inquire()) == ["1"]
        assert system.tree("/c").restarts == 1


@pytest.mark.parametrize("kind", ["function", "class"])
async def test_with_a_retry_policy_a_call_that_has_replied_nothing_is_tried_again(kind: str) -> None:
    tries: list[int] = []

    async def flaky(ctx: InteractionContext) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("flaky")
        ctx.reply("done")

    class Flaky:
        async def __call__(self, ctx: InteractionContext) -> None:
            await flaky(ctx)

    agent = miniagent(retry=RetryPolicy(on=(ConnectionError,)))(flaky if kind == "function" else Flaky)
    async with MiniAgents():
        assert await words(agent.inquire()) == ["done"]
    assert len(tries) == 3


async def test_full_duplex_and_what_a_finished_call_refuses() -> None:
    async with MiniAgents():
        call = echo.initiate_call()
        replies = aiter(call.reply_sequence(finish_call=False))
        call.send_message("one").send_message("two")
        assert str(await (await anext(replies))) == "echo: one"
        assert not call.is_finished
        call.finish()
        assert call.is_finished
        with pytest.raises(AppenderClosedError):
            call.send_message("three")
        assert str(await (await anext(replies))) == "echo: two"
        with pytest.raises(StopAsyncIteration):
            await anext(replies)


async def test_a_call_that_is_left_open_is_finished_when_its_agent_or_the_system_ends() -> None:
    @miniagent
    async def forgets(ctx: InteractionContext) -> None:
        ctx.reply(echo.initiate_call().send_message("x").reply_sequence(finish_call=False))

    async with MiniAgents():
        assert await words(forgets.inquire()) == ["echo: x"]
        left = echo.initiate_call().send_message("y").reply_sequence(finish_call=False)
    assert await words(left) == ["echo: y"]


async def test_leaving_normally_waits_for_everything_that_was_started() -> None:
    log: list[str] = []

    @miniagent
    async def slow(ctx: InteractionContext, depth: int) -> None:
        await asyncio.sleep(1)
        log.append(f"done {depth}")
        if depth:
            slow.inquire(depth=depth - 1)

    async with MiniAgents():
        slow.inquire(depth=3)
    assert log == ["done 3", "done 2", "done 1", "done 0"]


@pytest.mark.parametrize("how", ["return", "exception", "cancellation"])
async def test_no_promise_is_left_pending_and_no_task_is_left(how: str) -> None:
    before = asyncio.all_tasks()
    given: list[Any] = []

    @miniagent
    async def waits_for_input(ctx: InteractionContext) -> None:
        await ctx.message_promises
        ctx.reply("done")

    async def body() -> None:
        async with MiniAgents() as system:
            given.append(echo.inquire("x"))
            given.append(Counter.inquire(seconds=1.0))  # type: ignore[attr-defined]
            given.append(Counter.inquire())  # type: ignore[attr-defined]
            call = waits_for_input.initiate_call()
            given.append(call.reply_sequence(finish_call=False))
            given.append(echo.inquire("lazy", start_soon=False))
            given.append(system.spawn(Counter).ask(TextMessage("plain")))
            if how != "return":
                given.append(sleeper.inquire())
            await turns(3)
            if how == "exception":
                raise LookupError("body")
            if how == "cancellation":
                await asyncio.sleep(10**6)

    task = asyncio.ensure_future(body())
    await turns(50)
    if how == "cancellation":
        task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    expected = {"return": type(None), "exception": LookupError, "cancellation": asyncio.CancelledError}[how]
    assert isinstance(result, expected)
    assert all(promise.done() for promise in given)
    assert asyncio.all_tasks() == before
    for promise in given:
        promise.exception()


variable: ContextVar[str] = ContextVar("agent_variable", default="unset")


@pytest.mark.parametrize("kind", ["function", "class"])
async def test_an_interaction_has_a_copy_of_its_callers_context_variables(kind: str) -> None:
    async def reads(ctx: InteractionContext) -> None:
        ctx.reply(variable.get())
        variable.set("changed")

    class Reads:
        async def __call__(self, ctx: InteractionContext) -> None:
            await reads(ctx)

    agent = miniagent(reads if kind == "function" else Reads)
    async with MiniAgents():
        variable.set("mine")
        assert await words(agent.inquire()) == ["mine"]
        assert variable.get() == "mine"


async def test_every_message_object_is_persisted_once_parts_before_wholes_and_a_bad_handler_fails_nobody(
    log: list[Any],
) -> None:
    kept: list[Any] = []

    async def bad(_: Any) -> None:
        raise OSError("disk")

    async with MiniAgents(on_persist_messages=bad) as system:

        @system.on_persist_messages
        async def keep(messages: Any) -> None:
            kept.extend(messages)

        inner = TextMessage("inner")
        outer = TextMessage("outer").with_metadata(part=inner)
        await echo.inquire([inner, outer, outer])
    texts = [str(message) for message in kept]
    assert texts[:2] == ["inner", "outer"]
    assert sorted(texts) == ["echo: inner", "echo: outer", "echo: outer", "inner", "outer"]
    assert any("persist.handler_failed" in entry["event"] for entry in log)


async def test_side_tasks_are_waited_for_and_their_failure_is_logged_and_fails_nobody(log: list[Any]) -> None:
    done: list[str] = []

    async def side(fail: bool) -> None:
        await asyncio.sleep(1)
        if fail:
            raise ValueError("side")
        done.append("side")

    @miniagent
    async def busy(ctx: InteractionContext) -> None:
        ctx.make_sure_to_wait(side(False))
        ctx.make_sure_to_wait(side(True))
        ctx.reply("main")

    async with MiniAgents():
        assert await words(busy.inquire()) == ["main"]
    assert done == ["side"]
    assert sum(entry["event"] == "call.side_task_failed" for entry in log) == 1


async def test_replies_can_be_finished_early_while_the_code_goes_on() -> None:
    done: list[str] = []

    @miniagent
    async def early(ctx: InteractionContext) -> None:
        ctx.reply("answer")
        await ctx.afinish_early()
        await asyncio.sleep(10)
        done.append("later")

    async with MiniAgents() as system:
        began = system.time()
        assert await words(early.inquire()) == ["answer"]
        assert system.time() == began
    assert done == ["later"]


async def test_await_now_warns_while_a_call_of_this_agent_is_open() -> None:
    @miniagent
    async def careless(ctx: InteractionContext) -> None:
        call = echo.initiate_call()
        with pytest.warns(RuntimeWarning, match="still open"):
            await ctx.await_now()
        call.finish()

    async with MiniAgents():
        await careless.inquire()


async def test_get_current_finds_system_and_context() -> None:
    @miniagent
    async def looks(ctx: InteractionContext) -> None:
        assert InteractionContext.get_current() is ctx
        assert MiniAgents.get_current() is ctx.system
        ctx.reply(" <- ".join(agent.alias for agent in ctx.get_agent_trace()))

    async with MiniAgents() as system:
        assert MiniAgents.get_current() is system
        assert await words(looks.inquire()) == ["looks"]
        with pytest.raises(NoActiveSystemError):
            InteractionContext.get_current()


async def test_a_plain_ask_of_an_agent_gets_its_replies_as_one_answer() -> None:
    async with MiniAgents() as system:
        assert str(await system.spawn(echo).ask(TextMessage("x"))) == "echo: x"
        assert str(await system.spawn(Counter).ask(TextMessage("x"))) == "1"
        assert await system.spawn(miniagent(alias="none")(fnone)).ask(Read()) is None


async def fnone(ctx: InteractionContext) -> None:
    """Replies nothing."""


async def test_a_stopped_named_agent_refuses_calls_and_an_activated_one_starts_anew() -> None:
    async with MiniAgents() as system:
        ref = system.spawn(echo, name="e")
        await ref.stop()
        with pytest.raises(ActorStoppedError):
            await ref.inquire("x")
        await echo.inquire("x")
        activated = system.lookup("/agents/echo")
        assert activated is not None
        await activated.stop()
        assert await words(echo.inquire("y")) == ["echo: y"]


async def test_stopping_an_agent_gives_what_runs_its_grace_and_then_cancels_it() -> None:
    log: list[str] = []
    async with MiniAgents() as system:
        ref = system.spawn(sleeper.fork(non_freezable_kwargs={"log": log}), name="s")
        promise = ref.inquire()
        await turns()
        began = system.time()
        await ref.stop()
        assert system.time() - began == pytest.approx(5.0)
        assert log == ["cancelled"]
        with pytest.raises(ActorStoppedError):
            await promise


async def test_inquire_waits_while_a_mailbox_is_full() -> None:
    async with MiniAgents() as system:
        ref = system.spawn(Counter, options=SpawnOptions(mailbox=Mailbox(capacity=1)))
        calls = [ref.inquire(seconds=0.1) for _ in range(10)]
        assert [(await words(call))[0] for call in calls] == [str(n) for n in range(1, 11)]


async def test_check_ready_tells_what_a_call_would_wait_for() -> None:
    async with MiniAgents() as system:
        ref = system.spawn(Counter, options=SpawnOptions(mailbox=Mailbox(capacity=1)))
        ref.check_ready()
        running = ref.inquire(seconds=1.0)
        await turns()
        waiting = ref.inquire()
        with pytest.raises(MailboxFullError):
            ref.check_ready()
        await running
        await waiting
        ref.check_ready()
        await ref.stop()
        with pytest.raises(ActorStoppedError):
            ref.check_ready()


async def test_an_interaction_knows_the_calls_below_it_also_when_it_has_returned() -> None:
    @miniagent
    async def hands_on(ctx: InteractionContext) -> None:
        ctx.reply(sleeper.inquire())

    async with MiniAgents():
        call = hands_on.initiate_call()
        replies = call.reply_sequence()
        await turns()
        assert call.interaction.done()
        assert [one.agent for one in call.interaction.below] == [sleeper]
        await replies.aclose("enough")
        assert call.interaction.below == ()


async def test_errors_that_are_answers_do_not_replace_the_instance() -> None:
    @miniagent(errors=(ValueError,))
    class Careful:
        def __init__(self) -> None:
            self.n = 0

        async def __call__(self, ctx: InteractionContext, bad: bool = False) -> None:
            self.n += 1
            if bad:
                raise ValueError("no")
            ctx.reply(str(self.n))

    async with MiniAgents():
        await Careful.inquire()  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="no"):
            await Careful.inquire(bad=True)  # type: ignore[attr-defined]
        assert await words(Careful.inquire()) == ["3"]  # type: ignore[attr-defined]


async def test_events_tell_of_interactions() -> None:
    async with MiniAgents() as system:
        with system.events.subscribe() as events:
            await echo.inquire("x")
            await turns()
            events.close()
            kinds = [event.kind async for event in events]
    assert EventKind.INTERACTION_STARTED in kinds
    assert EventKind.INTERACTION_ENDED in kinds


async def test_an_agent_spawns_actors_of_its_own_which_stop_with_it() -> None:
    @miniagent
    async def boss(ctx: InteractionContext) -> None:
        ctx.reply(await ctx.spawn(Counter, name="worker").inquire())

    async with MiniAgents() as system:
        ref = system.spawn(boss, name="boss")
        assert await words(ref.inquire()) == ["1"]
        assert system.lookup("/boss/worker") is not None
        await ref.stop()
        assert system.lookup("/boss/worker") is None


async def test_from_another_thread_agents_are_called_through_from_thread() -> None:
    async with MiniAgents() as system:
        ref = system.spawn(echo)

        def other_thread() -> str:
            with pytest.raises(WrongThreadError, match="from_thread"):
                ref.inquire("x")
            return str(system.from_thread.inquire(echo, "x").result(5))

        with ThreadPoolExecutor(1) as pool:
            assert await asyncio.get_running_loop().run_in_executor(pool, other_thread) == "echo: x"


async def test_with_without_async_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"), MiniAgents():
        pass


@pytest.mark.parametrize(
    ("overflow", "error"),
    [(Overflow.REJECT, MailboxFullError), (Overflow.DROP_NEWEST, DroppedError)],
)
async def test_a_call_of_a_full_agent_fails_as_its_mailbox_says(overflow: Overflow, error: type[Exception]) -> None:
    async with MiniAgents() as system:
        options = SpawnOptions(mailbox=Mailbox(capacity=1, overflow=overflow))
        ref = system.spawn(Counter, options=options)
        first = ref.inquire(seconds=1.0)
        await turns()
        second, third = ref.inquire(), ref.inquire()
        with pytest.raises(error):
            await third
        assert (await words(first), await words(second)) == (["1"], ["2"])
        assert system.dead_letters.total == 1


async def test_nested_calls_after_an_inherited_deadline_fail_at_once() -> None:
    failed_at: list[float] = []

    @miniagent
    class Serial:
        """Its handler is not interrupted by the deadline of its caller."""

        async def __call__(self, ctx: InteractionContext) -> None:
            await asyncio.sleep(2)
            try:
                await sleeper.inquire()
            except AskTimeoutError:
                failed_at.append(ctx.system.time())
                raise

    async with MiniAgents() as system:
        began = system.time()
        with pytest.raises(AskTimeoutError):
            await Serial.inquire(timeout=1.0)  # type: ignore[attr-defined]
        assert system.time() - began == pytest.approx(1.0)
        await asyncio.sleep(5)
        assert [at - began for at in failed_at] == [pytest.approx(2.0)]
        assert system.interactions() == ()
        assert system.tree("/agents/Serial").restarts == 0


async def test_an_agent_trace_has_a_bounded_length() -> None:
    lengths: list[int] = []

    @miniagent
    async def deep(ctx: InteractionContext, depth: int) -> None:
        lengths.append(len(ctx.get_agent_trace()))
        if depth:
            ctx.reply(deep.inquire(depth=depth - 1))

    async with MiniAgents():
        await deep.inquire(depth=200)
    assert max(lengths) == 64


async def test_a_hundred_interactions_deep_an_error_still_finds_its_way() -> None:
    @miniagent
    async def deep(ctx: InteractionContext, depth: int) -> None:
        if not depth:
            raise LookupError("bottom")
        ctx.reply(deep.inquire(depth=depth - 1))

    async with MiniAgents():
        with pytest.raises(LookupError, match="bottom"):
            await deep.inquire(depth=100)


async def test_a_failure_that_was_seen_at_its_message_is_not_logged_as_unseen(log: list[Any]) -> None:
    @miniagent
    async def broken(ctx: InteractionContext) -> None:
        async def tokens(_: Any) -> AsyncIterator[str]:
            yield "a"
            raise ValueError("broken")

        ctx.reply(TextMessage.promise(message_token_streamer=tokens))

    async with MiniAgents():
        with pytest.raises(ValueError, match="broken"):
            async for promise in broken.inquire():
                async for _ in promise:
                    pass
    gc.collect()
    assert log == []


async def test_a_failure_that_goes_on_to_somebody_who_does_not_look_is_logged(log: list[Any]) -> None:
    @miniagent
    async def broken(ctx: InteractionContext) -> None:
        raise ValueError("broken")

    @miniagent
    async def outer(ctx: InteractionContext) -> None:
        await broken.inquire()

    async with MiniAgents():
        outer.inquire()
    gc.collect()
    assert [entry["event"] for entry in log if entry["log_level"] == "error"] == ["promise.failed_unawaited"]


@pytest.mark.parametrize("how", ["its task", "its scope", "its timeout"])
async def test_an_agent_can_cancel_what_another_one_has_given_it(how: str, log: list[Any]) -> None:
    given: dict[str, Any] = {}

    @miniagent
    async def works(ctx: InteractionContext) -> None:
        given["its task"] = asyncio.current_task()
        try:
            with anyio.CancelScope() as given["its scope"]:
                async with asyncio.timeout(None) as given["its timeout"]:
                    await asyncio.sleep(1000)
        except (asyncio.CancelledError, TimeoutError):
            pass
        ctx.reply("cancelled")

    @miniagent
    async def cancels(ctx: InteractionContext) -> None:
        if how == "its timeout":
            given[how].reschedule(asyncio.get_running_loop().time() + 1)
            await asyncio.sleep(2)
        else:
            given[how].cancel()

    async with MiniAgents() as system:
        replies = works.inquire()
        await turns()
        await cancels.inquire()
        await turns()

        assert system.interactions() == ()
        assert str(await replies) == "cancelled"
    assert log == []


async def test_waiting_for_the_end_of_calls_is_not_held_up_by_one_that_was_cancelled_before_it_began() -> None:
    calls: list[Any] = []
    called = asyncio.Event()

    @miniagent
    async def works(ctx: InteractionContext) -> None:
        await asyncio.sleep(1000)

    @miniagent
    async def hands_on(ctx: InteractionContext) -> None:
        calls.extend((works.inquire(), works.inquire()))
        ctx.reply(calls)
        asyncio.get_running_loop().call_soon(calls[1].cancel)  # after the end of this call, before the other begins
        called.set()

    async with MiniAgents() as system:
        replies = hands_on.inquire()
        await called.wait()
        await turns()

        async with asyncio.timeout(10):
            await replies.aclose()

        assert system.interactions() == ()


@pytest.mark.parametrize("how", ["cancelled", "expired"])
async def test_calls_that_end_while_they_wait_are_counted_once(how: str) -> None:
    gate = asyncio.Event()

    @miniagent
    class Serial:
        async def __call__(self, ctx: InteractionContext) -> None:
            await gate.wait()

    async with MiniAgents() as system:
        ref = system.spawn(Serial)
        ref.inquire()
        await turns()
        timeout = 1 if how == "expired" else None
        ended = [ref.inquire(timeout=timeout) for _ in range(40)]
        ref.inquire()
        if how == "cancelled":
            for replies in ended:
                replies.cancel()
        else:
            await asyncio.gather(*ended, return_exceptions=True)

        assert ref._cell.depth == system.tree(ref.path).mailbox_depth == 1
        gate.set()
        await turns()
        assert ref._cell.depth == system.tree(ref.path).mailbox_depth == 0


@pytest.mark.parametrize("how", ["cancelled", "expired"])
async def test_a_call_that_ends_while_it_waits_for_room_leaves_it_to_the_next(how: str) -> None:
    gate = asyncio.Event()

    @miniagent
    class Serial:
        async def __call__(self, ctx: InteractionContext) -> None:
            await gate.wait()
            ctx.reply("served")

    async with MiniAgents() as system:
        ref = system.spawn(Serial, options=SpawnOptions(mailbox=Mailbox(capacity=1)))
        first = ref.inquire()
        await turns()
        second = ref.inquire()
        waits = ref.inquire(timeout=1 if how == "expired" else None)
        last = ref.inquire()
        await turns()
        if how == "cancelled":
            waits.cancel()
        with pytest.raises(PromiseCancelledError if how == "cancelled" else AskTimeoutError):
            await waits

        assert ref._cell.depth == 1
        gate.set()
        async with asyncio.timeout(10):
            assert [str(await replies) for replies in (first, second, last)] == ["served"] * 3
        assert ref._cell.depth == 0


@pytest.mark.parametrize("how", ["cancelled", "expired", "hangs"])
async def test_what_a_call_replies_that_swallows_its_cancellation_is_thrown_away(how: str) -> None:
    @miniagent
    async def works(ctx: InteractionContext) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass
        ctx.reply("late")

    agent = works.fork(options=SpawnOptions(handler_timeout=1.0)) if how == "hangs" else works
    errors = {"cancelled": PromiseCancelledError, "expired": AskTimeoutError, "hangs": HandlerTimeoutError}
    async with MiniAgents() as system:
        replies = agent.inquire(timeout=1 if how == "expired" else None)
        await turns()
        if how == "cancelled":
            (interaction,) = system.interactions()
            await interaction.cancel("enough")

        with pytest.raises(errors[how]):
            await replies
        assert system.interactions() == ()


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="there are eager tasks since Python 3.12")
async def test_a_class_agent_that_waits_for_itself_is_told_so_also_where_tasks_are_eager() -> None:
    @miniagent
    class Narcissus:
        async def __call__(self, ctx: InteractionContext) -> None:
            ctx.reply(await ctx.this_agent.inquire())

    asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - not in 3.11
    async with MiniAgents():
        with pytest.raises(DeadlockError):
            async with asyncio.timeout(10):
                await Narcissus.inquire()  # type: ignore[attr-defined]


@miniagent
class Needy:
    def __init__(self, what: str) -> None:
        self.what = what

    async def __call__(self, ctx: InteractionContext) -> None:
        ctx.reply(self.what)


@pytest.mark.parametrize("kwargs", [{}, {"wrong": 1}])
@pytest.mark.parametrize("how", ["supervise", "start_child", "simple", "pool"])
async def test_a_child_that_cannot_be_made_is_a_start_error_with_its_own_error_and_the_system_goes_on(
    how: str, kwargs: dict[str, Any]
) -> None:
    good, bad = ChildSpec("good", Needy, kwargs={"what": "good"}), ChildSpec("bad", Needy, kwargs=kwargs)
    async with MiniAgents() as system:
        with pytest.raises(StartError, match="what" if not kwargs else "wrong") as raised:
            match how:
                case "supervise":
                    await system.supervise(Supervisor("s", strategy=OneForOne(), children=[good, bad]))
                case "start_child":
                    supervisor = await system.supervise(Supervisor("s", strategy=OneForOne(), children=[good]))
                    await supervisor.start_child(bad)
                case "simple":
                    simple = Supervisor("s", strategy=SimpleOneForOne(), children=[ChildSpec("bad", Needy)])
                    await (await system.supervise(simple)).start_child(**kwargs)
                case "pool":
                    await system.pool(Needy, size=2, kwargs=kwargs)

        assert isinstance(raised.value.__cause__, TypeError)
        assert isinstance(raised.value.__cause__, AgentArgumentError) == bool(kwargs)
        assert system.lookup("/s/bad") is None
        again = await system.supervise(Supervisor("again", strategy=OneForOne(), children=[good]))
        assert str(await system.lookup("/again/good").inquire()) == "good"  # type: ignore[union-attr]
        assert again.is_alive
