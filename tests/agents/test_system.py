"""A system of agents: what runs, what is told, and how it ends."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from miniagents import (
    ChildSpec,
    EventKind,
    InteractionContext,
    MiniAgents,
    OneForOne,
    SimpleOneForOne,
    Supervisor,
    TextMessage,
    miniagent,
)
from miniagents.errors import (
    AgentArgumentError,
    PromiseCancelledError,
    StartError,
    WrongThreadError,
)
from tests.actors.actors import turns
from tests.agents.agents import Counter, echo, sleeper


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


async def test_events_tell_of_interactions() -> None:
    async with MiniAgents() as system:
        with system.events.subscribe() as events:
            await echo.inquire("x")
            await turns()
            events.close()
            kinds = [event.kind async for event in events]
    assert EventKind.INTERACTION_STARTED in kinds
    assert EventKind.INTERACTION_ENDED in kinds


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
