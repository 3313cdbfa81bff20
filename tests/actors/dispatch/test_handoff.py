"""Direct hand-over: a task that waits for an answer runs the turn that leads to it."""

import asyncio
import gc
from typing import Any

import pytest

from miniagents import Actor, ActorContext, ActorSystem, InteractionContext, Message, MiniAgents, TextMessage, miniagent
from miniagents.errors import PromiseCancelledError
from tests.actors.actors import turns
from tests.clocks import ticking_clock  # noqa: F401 - asked for by name


class Noting(Actor):
    """Notes the task that it runs in, before and after it has waited."""

    def __init__(self, tasks: list[Any]) -> None:
        self.tasks = tasks

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        self.tasks.append(asyncio.current_task())
        if str(message) == "wait":
            await asyncio.sleep(0)
            self.tasks.append(asyncio.current_task())
        return message


async def warm(system: ActorSystem) -> None:
    """The first ask starts a helper; it helps from the next turn of the loop on."""
    await system.spawn(Noting, tasks=[]).ask(TextMessage("warm"))
    await turns(3)


async def test_an_answer_that_waits_for_nobody_is_there_without_a_turn_of_the_loop() -> None:
    async with ActorSystem() as system:
        await warm(system)
        ref = system.spawn(Noting, tasks=[])
        await ref.started()
        await turns(3)
        turned: list[int] = []

        asyncio.get_running_loop().call_soon(turned.append, 1)
        await ref.ask(TextMessage("now"))

        assert turned == []


async def test_a_handler_sees_the_task_of_a_worker_also_after_it_has_waited() -> None:
    tasks: list[Any] = []
    async with ActorSystem() as system:
        await warm(system)
        ref = system.spawn(Noting, tasks=tasks)

        await ref.ask(TextMessage("wait"))

        assert tasks[0] is tasks[1] is not asyncio.current_task()


async def test_what_cancels_a_handler_does_not_reach_the_task_that_waits_nor_the_next_actor() -> None:
    class Careless(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            if str(message) == "wait":
                await asyncio.sleep(0)
            return message

    async with ActorSystem() as system:
        for text in ("return", "wait"):
            await warm(system)
            careless, next_one = system.spawn(Careless), system.spawn(Noting, tasks=[])
            outcome = await asyncio.gather(careless.ask(TextMessage(text)), return_exceptions=True)
            assert isinstance(outcome[0], TextMessage if text == "return" else asyncio.CancelledError | Exception)
            assert str(await next_one.ask(TextMessage("fine"))) == "fine"
            me = asyncio.current_task()
            assert me is not None
            assert me.cancelling() == 0


@pytest.mark.parametrize("who", ["the asker", "the handler"])
async def test_a_handler_that_is_cancelled_as_it_suspends_takes_with_it_what_it_waits_for(who: str) -> None:
    done: list[Any] = []

    class Gathers(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            inner = [asyncio.create_task(asyncio.sleep(1000)) for _ in range(2)]
            if who == "the handler":
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                await asyncio.gather(*inner)
            finally:
                done.extend(task.cancelled() for task in inner)

    async with ActorSystem() as system:
        await warm(system)
        ref = system.spawn(Gathers)
        await ref.started()
        await turns(3)
        ask = ref.ask(TextMessage("gather"))
        if who == "the asker":
            asyncio.get_running_loop().call_soon(ask.cancel)  # before the helper can go on with the turn

        with pytest.raises(PromiseCancelledError):
            await ask
        await turns()

        assert done == [True, True]


async def test_a_stray_cancellation_of_what_was_a_helper_stops_nobody() -> None:
    tasks: list[Any] = []
    async with ActorSystem() as system:
        await warm(system)
        ref = system.spawn(Noting, tasks=tasks)
        await ref.started()
        await turns(3)

        await ref.ask(TextMessage("wait"))
        tasks[-1].cancel()  # it is a worker now, between two turns

        ref.tell(TextMessage("next"))
        await turns()
        assert len(tasks) == 3


async def test_a_stray_cancellation_of_an_idle_helper_reaches_no_handler() -> None:
    tasks: list[Any] = []
    async with ActorSystem() as system:
        await warm(system)
        ref = system.spawn(Noting, tasks=tasks)
        await ref.started()
        await turns(3)

        await ref.ask(TextMessage("now"))
        tasks[-1].cancel()

        assert str(await ref.ask(TextMessage("wait"))) == "wait"


@pytest.mark.usefixtures("ticking_clock")
async def test_the_loop_turns_however_many_answers_are_waited_for() -> None:
    async with ActorSystem() as system:
        await warm(system)
        ref = system.spawn(Noting, tasks=[])
        ran: list[int] = []
        asyncio.get_running_loop().call_soon(ran.append, 1)

        for _ in range(100):
            await ref.ask(TextMessage("next"))

        assert ran == [1]


async def test_agents_that_wait_for_agents_are_run_by_each_other_to_any_depth() -> None:
    @miniagent
    async def chain(ctx: InteractionContext, depth: int) -> None:
        ctx.reply(await chain.inquire(depth=depth - 1) if depth else "bottom")

    async with MiniAgents() as system:
        for _ in range(3):
            await turns(3)
            assert [str(message) for message in await chain.inquire(depth=50)] == ["bottom"]
        assert system.interactions() == ()


class WaitsForWhatFails(Actor):
    """Its own promise is cancelled in the turn in which what it waits for fails."""

    def __init__(self, cancel: Any) -> None:
        self.cancel = cancel

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        failing = asyncio.get_running_loop().create_future()
        gathered = asyncio.gather(failing)
        failing.set_exception(ValueError("failed"))
        asyncio.get_running_loop().call_soon(self.cancel)
        await gathered


async def test_what_a_cancelled_handler_gathered_leaves_no_noise_on_the_loop() -> None:
    noise: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context["message"]))
    promises: list[Any] = []
    async with ActorSystem() as system:
        await warm(system)
        ref = system.spawn(WaitsForWhatFails, cancel=lambda: promises[0].cancel("enough"))
        promises.append(ref.ask(Message()))
        with pytest.raises(PromiseCancelledError):
            await promises[0]

    gc.collect()
    assert noise == []


@pytest.mark.parametrize("turn", range(4))
async def test_a_call_is_cancelled_also_in_the_moment_in_which_all_that_it_gathers_is_there(turn: int) -> None:
    pieces: list[asyncio.Future[None]] = []

    @miniagent
    async def gathers(ctx: InteractionContext) -> None:
        pieces.append(asyncio.get_running_loop().create_future())
        await asyncio.gather(pieces[-1])
        await asyncio.sleep(1_000_000)

    @miniagent
    async def echo(ctx: InteractionContext) -> None:
        ctx.reply("here")

    async def cancel(replies: Any) -> None:
        for _ in range(turn):
            await asyncio.sleep(0)
        if pieces:
            pieces[-1].set_result(None)  # `gather` hears of it in the next turn of the loop
        replies.cancel("enough")

    async with MiniAgents():
        for _ in range(3):
            await echo.inquire()
        replies = gathers.inquire(start_soon=False)  # it is begun, and helped, by its reader
        reading, cancelling = asyncio.ensure_future(replies), asyncio.create_task(cancel(replies))
        with pytest.raises(PromiseCancelledError, match="enough"):
            await reading
        await cancelling
        await replies.aclose()
        assert MiniAgents.get_current().interactions() == ()
