"""Tell and ask: order, answers, deadlines, cancelling."""

import asyncio
import gc
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    DeadLetterReason,
    Message,
    TextMessage,
)
from miniagents.errors import (
    AskTimeoutError,
    DeadlineExceededError,
    NotSendableError,
    PromiseCancelledError,
)
from tests.actors.actors import Add, Counter, Crash, Fails, Hold, Read, Total, turns


async def test_tell_then_ask_are_handled_in_the_order_sent() -> None:
    async with ActorSystem() as system:
        counter = system.spawn(Counter, name="counter", start=10)
        counter.tell(Add(5))
        total: Total = await counter.ask(Read(), timeout=1.0)
        assert total.value == 15
        assert counter.path == "/counter"


async def test_messages_of_one_sender_arrive_in_the_order_sent() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        counter = system.spawn(Counter, log=log)
        for n in range(1000):
            counter.tell(TextMessage(str(n)))
    assert [entry for entry in log if isinstance(entry, str)] == ["start", *map(str, range(1000))]


async def test_an_exception_returned_is_an_answer_and_the_actor_lives() -> None:
    class Refuses(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Exception:
            return LookupError("not here")

    async with ActorSystem() as system:
        ref = system.spawn(Refuses)
        for _ in range(2):
            with pytest.raises(LookupError, match="not here"):
                await ref.ask(Read())
        assert system.tree(ref.path).restarts == 0


async def test_anything_but_a_message_is_a_type_error_at_the_caller() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        with pytest.raises(NotSendableError, match=r"/Counter-1.*str"):
            ref.tell("text")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            ref.ask({"a": 1})  # type: ignore[call-overload]


async def test_an_answer_that_is_no_message_is_an_error_that_says_so() -> None:
    class Wrong(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Any:
            return 42

    async with ActorSystem() as system:
        with pytest.raises(NotSendableError, match="int"):
            await system.spawn(Wrong).ask(Read())


async def test_an_ask_times_out_and_its_queued_message_is_an_expired_dead_letter() -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        ref = system.spawn(Counter, name="slow", gate=gate)
        ref.tell(Hold())
        with pytest.raises(AskTimeoutError, match="/slow") as info:
            await ref.ask(Read(), timeout=5.0)
        assert isinstance(info.value, DeadlineExceededError)
        assert isinstance(info.value, TimeoutError)
        assert system.dead_letters.counts == {DeadLetterReason.EXPIRED: 1}
        gate.set()


async def test_an_ask_with_a_timeout_of_0_expires_at_the_next_turn() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, gate=asyncio.Event())
        ask = ref.ask(Hold(), timeout=0)
        assert not ask.done()
        await asyncio.sleep(0)
        with pytest.raises(AskTimeoutError):
            await ask
        await ref.kill()


async def test_a_handler_whose_asker_timed_out_is_not_interrupted_and_that_is_no_crash() -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        ref = system.spawn(Counter, gate=gate)
        with pytest.raises(AskTimeoutError):
            await ref.ask(Hold(), timeout=1.0)
        gate.set()
        assert (await ref.ask(Read())).value == 0
        assert system.tree(ref.path).restarts == 0


async def test_a_nested_ask_inherits_the_deadline() -> None:
    gate = asyncio.Event()

    class Middle(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Any:
            assert ctx.deadline is not None
            return await slow.ask(Hold())

    async with ActorSystem() as system:
        slow = system.spawn(Counter, name="slow", gate=gate)
        middle = system.spawn(Middle, name="middle")
        with pytest.raises(AskTimeoutError):
            await middle.ask(Read(), timeout=2.0)
        await turns()
        # The end of what the caller wanted is no crash, neither of the one in the middle nor of the one below.
        assert [info.restarts for info in system.tree().children] == [0, 0]
        gate.set()


async def test_an_ask_cancelled_in_the_queue_is_taken_out_without_a_dead_letter() -> None:
    gate = asyncio.Event()
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Counter, gate=gate, log=log)
        ref.tell(Hold())
        await turns()
        ask = ref.ask(TextMessage("never"))
        ask.cancel("changed my mind")
        with pytest.raises(PromiseCancelledError, match="changed my mind"):
            await ask
        gate.set()
        await ref.ask(Read())
        assert "never" not in log
        assert system.dead_letters.total == 0


async def test_an_explicit_cancel_interrupts_the_handler_and_its_instance_lives() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, start=3, gate=asyncio.Event())
        ask = ref.ask(Hold())
        await turns()
        await ask.aclose("enough")
        assert (await ref.ask(Read())).value == 3
        assert system.tree(ref.path).restarts == 0


async def test_an_awaiter_that_is_cancelled_does_not_cancel_the_ask() -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        ask = system.spawn(Counter, gate=gate).ask(Hold())

        async def wait() -> None:
            await ask

        waiter = asyncio.ensure_future(wait())
        await turns()
        waiter.cancel()
        await turns()
        gate.set()
        assert await ask is None


async def test_the_crashed_messages_ask_gets_the_original_exception() -> None:
    error = ValueError("the very one")

    class Raises(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            raise error

    async with ActorSystem() as system:
        with pytest.raises(ValueError, match="the very one") as info:
            await system.spawn(Raises).ask(Read())
        assert info.value is error


async def test_a_handler_that_raises_cancelled_error_crashes_and_its_asker_is_not_cancelled() -> None:
    class Cancels(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            raise asyncio.CancelledError

    async with ActorSystem() as system:
        ref = system.spawn(Cancels)
        with pytest.raises(PromiseCancelledError):
            await ref.ask(Read())
        assert system.tree(ref.path).last_error is not None


async def test_errors_that_are_answers_are_no_crashes() -> None:
    class Careful(Counter):
        errors = (ValueError,)

    async with ActorSystem() as system:
        ref = system.spawn(Careful, start=1)
        with pytest.raises(ValueError, match="crash"):
            await ref.ask(Crash())
        assert system.tree(ref.path).restarts == 0
        assert (await ref.ask(Read())).value == 1


@pytest.mark.parametrize("message", [Read(), Add(1), Crash()])
@pytest.mark.parametrize("how", ["tell", "ask", "await"])
async def test_a_failure_of_a_handler_is_logged_once_at_the_most(how: str, message: Message, log: list[Any]) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Fails)
        if how == "tell":
            ref.tell(message)
        elif how == "ask":
            ref.ask(message)
        else:
            with pytest.raises(ValueError, match=r"returned|replied|raised"):
                await ref.ask(message)
        await turns()
        gc.collect()

    if isinstance(message, Crash):
        (entry,) = log
        assert entry["event"] == "actor.crashed"
        assert ("stack" in entry) == (how != "await")  # whoever waits has it with the exception
    elif how == "await":
        assert log == []
    else:
        (entry,) = log
        what = "actor.answer_failed" if how == "tell" else "promise.failed_unawaited"
        assert entry["event"] == what
