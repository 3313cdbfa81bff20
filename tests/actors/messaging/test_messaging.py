"""Tell, ask, send; mailboxes and their overflow; dead letters; deadlines."""

import asyncio
import concurrent.futures
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    DeadLetterReason,
    Mailbox,
    Message,
    Overflow,
    SpawnOptions,
    StopReason,
    Terminated,
    TextMessage,
)
from miniagents.errors import (
    ActorStoppedError,
    AskTimeoutError,
    DeadlineExceededError,
    DroppedError,
    InvalidOptionError,
    MailboxFullError,
    NotSendableError,
    PromiseCancelledError,
    WrongThreadError,
)
from tests.actors.actors import Add, Counter, Crash, Hold, Read, Total, turns


async def test_what_waits_is_counted_and_dated_exactly_beside_asks_that_were_cancelled() -> None:
    async with ActorSystem() as system:
        gate = asyncio.Event()
        ref = system.spawn(Counter, gate=gate)
        ref.tell(Hold())
        await turns()
        asks = []
        for number in range(50):
            await asyncio.sleep(1)
            ref.tell(Add(number))
            asks.append(ref.ask(Read()))
        for ask in asks:
            ask.cancel()
        (info,) = system.tree().children
        assert (info.mailbox_depth, info.oldest_age) == (50, 49.0)
        gate.set()
        total = await ref.ask(Read())
        assert total.value == sum(range(50))
        (info,) = system.tree().children
        assert (info.mailbox_depth, info.oldest_age) == (0, None)


@pytest.mark.parametrize("kept", [0, 3, 1000])
async def test_what_waits_when_an_actor_ends_is_counted_and_the_last_of_it_is_kept(kept: int) -> None:
    async with ActorSystem(dead_letters_kept=kept) as system:
        ref = system.spawn(Counter, gate=asyncio.Event())
        ref.tell(Hold())
        await turns()
        for number in range(10):
            ref.tell(Add(number))
        asked = ref.ask(Read())
        for number in range(10, 20):
            ref.tell(Add(number))
        await ref.kill()
        with pytest.raises(ActorStoppedError):
            await asked
        letters = [letter.message for letter in system.dead_letters]
        assert system.dead_letters.counts == {DeadLetterReason.STOPPED: 21}
        expected = [*map(Add, range(10)), Read(), *map(Add, range(10, 20))]
        assert letters == expected[len(expected) - min(kept, 21) :]


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


def busy(system: ActorSystem, gate: asyncio.Event, overflow: Overflow, log: list[Any]) -> Any:
    options = SpawnOptions(mailbox=Mailbox(capacity=2, overflow=overflow))
    return system.spawn(Counter, name="busy", options=options, gate=gate, log=log)


async def test_backpressure_makes_tell_raise_and_ask_fail_and_send_wait() -> None:
    gate = asyncio.Event()
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = busy(system, gate, Overflow.BACKPRESSURE, log)
        ref.tell(Hold())
        await turns()
        ref.tell(TextMessage("1"))
        ref.tell(TextMessage("2"))
        with pytest.raises(MailboxFullError, match="/busy"):
            ref.tell(TextMessage("3"))
        with pytest.raises(MailboxFullError):
            await ref.ask(Read())
        sending = [asyncio.ensure_future(ref.send(TextMessage(str(n)))) for n in (4, 5, 6)]
        await turns()
        assert not any(task.done() for task in sending)
        assert system.dead_letters.total == 0
        gate.set()
        await asyncio.gather(*sending)
    assert log[1:6] == ["1", "2", "4", "5", "6"]


async def test_reject_raises_and_leaves_a_dead_letter() -> None:
    gate = asyncio.Event()
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = busy(system, gate, Overflow.REJECT, log)
        ref.tell(Hold())
        await turns()
        ref.tell(TextMessage("1"))
        ref.tell(TextMessage("2"))
        with pytest.raises(MailboxFullError):
            ref.tell(TextMessage("3"))
        with pytest.raises(MailboxFullError):
            await ref.send(TextMessage("4"))
        with pytest.raises(MailboxFullError):
            await ref.ask(Read())
        assert system.dead_letters.counts == {DeadLetterReason.REJECTED: 3}
        gate.set()


@pytest.mark.parametrize(
    ("overflow", "dropped", "kept"),
    [(Overflow.DROP_NEWEST, "3", ["1", "2"]), (Overflow.DROP_OLDEST, "1", ["2", "3"])],
)
async def test_a_dropping_mailbox_never_raises_and_the_dropped_one_is_a_dead_letter(
    overflow: Overflow, dropped: str, kept: list[str]
) -> None:
    gate = asyncio.Event()
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = busy(system, gate, overflow, log)
        ref.tell(Hold())
        await turns()
        for n in (1, 2, 3):
            ref.tell(TextMessage(str(n)))
        (letter,) = system.dead_letters
        assert (letter.reason, str(letter.message), letter.receiver) == (DeadLetterReason.DROPPED, dropped, ref)
        gate.set()
    assert log[1:3] == kept


async def test_the_ask_of_a_dropped_message_fails_with_dropped_error() -> None:
    gate = asyncio.Event()
    async with ActorSystem() as system:
        ref = busy(system, gate, Overflow.DROP_OLDEST, [])
        ref.tell(Hold())
        await turns()
        ask = ref.ask(Read())
        ref.tell(Add(1))
        ref.tell(Add(1))
        with pytest.raises(DroppedError):
            await ask
        gate.set()


def test_a_capacity_below_1_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="capacity"):
        Mailbox(capacity=0)


async def test_a_priority_mailbox_takes_lower_first_and_equals_in_order() -> None:
    gate = asyncio.Event()
    log: list[Any] = []

    def priority(message: Message) -> int:
        return 0 if str(message).startswith("!") else 1

    async with ActorSystem() as system:
        ref = system.spawn(Counter, options=SpawnOptions(mailbox=Mailbox(priority=priority)), gate=gate, log=log)
        ref.tell(Hold())
        await turns()
        for text in ("a", "!b", "c", "!d"):
            ref.tell(TextMessage(text))
        gate.set()
    assert log[1:5] == ["!b", "!d", "a", "c"]


async def test_terminated_queues_behind_what_waits_whatever_the_priority_function_knows() -> None:
    gate, seen = asyncio.Event(), list[Any]()

    class Watcher(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            ctx.watch(watched)

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            seen.append(message)
            if isinstance(message, Hold):
                await gate.wait()

    def priority(message: Message) -> float:
        return 0 if isinstance(message, Hold) else message.amount  # type: ignore[attr-defined]  # no Terminated has it

    async with ActorSystem() as system:
        watched = system.spawn(Counter)
        watcher = system.spawn(Watcher, options=SpawnOptions(mailbox=Mailbox(priority=priority)))
        watcher.tell(Hold())
        await turns()
        watcher.tell(Add(7))
        assert await watched.stop() is StopReason.SHUTDOWN
        await turns()
        watcher.tell(Add(8))
        watcher.tell(Add(3))
        gate.set()
    assert seen == [Hold(), Add(3), Add(7), Terminated(ref=watched, reason=StopReason.SHUTDOWN), Add(8)]


@pytest.mark.parametrize("priority", [None, lambda message: message.amount], ids=["first in, first out", "priority"])
async def test_drop_oldest_drops_no_terminated_and_nothing_else_of_the_runtime(priority: Any) -> None:
    gate, seen = asyncio.Event(), list[Any]()

    class Watcher(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            ctx.watch(watched)
            await gate.wait()

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            seen.append(message)

    async with ActorSystem() as system:
        watched = system.spawn(Counter)
        mailbox = Mailbox(capacity=3, overflow=Overflow.DROP_OLDEST, priority=priority)
        watcher = system.spawn(Watcher, options=SpawnOptions(mailbox=mailbox))
        await turns()
        await watched.stop()
        quiet = watcher._cell.barrier()  # type: ignore[attr-defined]
        for n in range(10):
            watcher.tell(Add(n))
        gate.set()
        assert quiet is not None
        await quiet
        await turns()
    # All three that wait count, but only those of users are dropped.
    assert seen == [Terminated(ref=watched, reason=StopReason.SHUTDOWN), Add(9)]
    assert [letter.message for letter in system.dead_letters] == [Add(n) for n in range(9)]


async def test_asks_cancelled_in_a_mailbox_with_priorities_leave_the_order_of_the_others_as_it_is() -> None:
    gate, seen = asyncio.Event(), list[Any]()

    class Notes(Counter):
        async def receive(self, message: Message, ctx: ActorContext) -> Any:
            seen.append(message)
            return await super().receive(message, ctx)

    def priority(message: Message) -> float:
        return 0 if isinstance(message, Hold) else message.amount  # type: ignore[attr-defined]  # no barrier has it

    async with ActorSystem() as system:
        ref = system.spawn(Notes, options=SpawnOptions(mailbox=Mailbox(priority=priority)), gate=gate)
        ref.tell(Hold())
        await turns()
        quiet = ref._cell.barrier()  # type: ignore[attr-defined]
        ref.tell(Add(2))
        ref.tell(Add(1))
        for ask in [ref.ask(Add(0)) for _ in range(100)]:
            ask.cancel()
        gate.set()
        assert quiet is not None
        await quiet
    assert seen == [Hold(), Add(1), Add(2)]


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


async def test_a_message_to_the_dead_is_a_dead_letter_and_an_ask_fails() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, name="gone")
        await ref.stop()
        ref.tell(Add(1))
        with pytest.raises(ActorStoppedError, match="/gone"):
            await ref.ask(Read())
        assert system.dead_letters.counts == {DeadLetterReason.STOPPED: 2}


async def test_a_dead_letter_is_sent_again_and_is_dead_again_if_still_dead() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        gate = asyncio.Event()
        ref = busy(system, gate, Overflow.DROP_NEWEST, log)
        ref.tell(Hold())
        await turns()
        for n in (1, 2, 3):
            ref.tell(TextMessage(str(n)))
        (letter,) = system.dead_letters
        gate.set()
        await turns()
        system.dead_letters.resend(letter)
        await ref.ask(Read())
        assert "3" in log
        assert len(system.dead_letters) == 0
        await ref.stop()
        system.dead_letters.resend(letter)
        assert len(system.dead_letters) == 1


async def test_a_dead_letter_that_nobody_accepts_stays_where_it_is() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        await ref.stop()
        for n in range(2):
            ref.tell(TextMessage(str(n)))
        first, second = system.dead_letters
        system.dead_letters.resend(first)
        assert tuple(system.dead_letters) == (first, second)
        assert system.dead_letters.total == 2


@pytest.mark.parametrize("overflow", [Overflow.BACKPRESSURE, Overflow.REJECT])
async def test_a_dead_letter_that_a_full_mailbox_refuses_is_there_once(overflow: Overflow) -> None:
    gate, log = asyncio.Event(), list[Any]()
    async with ActorSystem() as system:
        ref = busy(system, gate, overflow, log)
        ref.tell(Hold())
        await turns()
        expired = ref.ask(TextMessage("late"), timeout=0.0)
        with pytest.raises(AskTimeoutError):
            await expired
        for n in (1, 2):
            ref.tell(TextMessage(str(n)))
        (letter,) = system.dead_letters
        with pytest.raises(MailboxFullError):
            system.dead_letters.resend(letter)
        assert [one.message for one in system.dead_letters] == [TextMessage("late")]
        gate.set()
        await turns()
        (letter,) = system.dead_letters
        system.dead_letters.resend(letter)
        assert len(system.dead_letters) == 0
        await turns()
        assert log[-1] == "late"


async def test_the_last_dead_letters_are_kept_and_all_are_counted() -> None:
    async with ActorSystem(dead_letters_kept=3) as system:
        ref = system.spawn(Counter)
        await ref.stop()
        for n in range(10):
            ref.tell(Add(n))
        assert [letter.message for letter in system.dead_letters] == [Add(7), Add(8), Add(9)]
        assert system.dead_letters.total == 10


async def test_the_crashed_messages_ask_gets_the_original_exception() -> None:
    error = ValueError("the very one")

    class Raises(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            raise error

    async with ActorSystem() as system:
        with pytest.raises(ValueError, match="the very one") as info:
            await system.spawn(Raises).ask(Read())
        assert info.value is error


async def test_a_call_from_another_thread_is_refused_and_from_thread_is_there_for_it() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)

        def other_thread() -> int:
            with pytest.raises(WrongThreadError, match="from_thread"):
                ref.tell(Add(1))
            system.from_thread.tell(ref, Add(2))
            total: Total = system.from_thread.ask(ref, Read()).result(5)
            return total.value

        with ThreadPoolExecutor(1) as pool:
            assert await asyncio.get_running_loop().run_in_executor(pool, other_thread) == 2
        with pytest.raises(WrongThreadError):
            system.from_thread.tell(ref, Add(1))


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


async def test_what_a_priority_function_raises_goes_to_the_sender_and_ends_the_ask() -> None:
    def fails(_: Message) -> float:
        raise LookupError("no priority")

    async with ActorSystem() as system:
        ref = system.spawn(Counter, options=SpawnOptions(mailbox=Mailbox(priority=fails)))
        with pytest.raises(LookupError, match="no priority"):
            ref.tell(Add(1))
        with pytest.raises(LookupError, match="no priority"):
            await ref.ask(Read(), timeout=1)
        await asyncio.sleep(2)

        assert system.tree(ref.path).mailbox_depth == ref._cell.depth == 0  # type: ignore[attr-defined]
        assert system.dead_letters.total == 0


async def test_asks_that_are_cancelled_one_after_the_other_are_counted_exactly() -> None:
    async with ActorSystem() as system:
        gate = asyncio.Event()
        ref = system.spawn(Counter, gate=gate)
        ref.tell(Hold())
        await turns()
        asks = [ref.ask(Read()) for _ in range(40)]
        for left, ask in enumerate(reversed(asks)):
            assert ref._cell.depth == system.tree(ref.path).mailbox_depth == 40 - left  # type: ignore[attr-defined]
            ask.cancel()

        gate.set()
        await turns()
        assert ref._cell.depth == 0  # type: ignore[attr-defined]


async def outcome(work: Callable[[], Any]) -> Any:
    """Run something in another thread, with the loop turning, and throw away what is left of it."""
    result = await asyncio.to_thread(work)
    await turns()
    return result


class Fails(Actor):
    """Fails in one of several ways."""

    async def receive(self, message: Message, ctx: ActorContext) -> Any:
        match message:
            case Read():
                return ValueError("returned")
            case Add():
                ctx.reply(ValueError("replied"))
            case _:
                raise ValueError("raised")


@pytest.mark.parametrize("looks", [True, False])
async def test_a_failure_that_a_thread_does_not_look_at_is_logged_once(looks: bool, log: list[Any]) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Fails)

        def work() -> None:
            future = system.from_thread.ask(ref, Read())
            concurrent.futures.wait([future], 5)
            if looks:
                with pytest.raises(ValueError, match="returned"):
                    future.result()

        await outcome(work)
        gc.collect()

    events = [entry["event"] for entry in log]
    assert events == ([] if looks else ["from_thread.failed_unawaited"])


async def test_a_call_that_a_thread_cancels_is_cancelled_with_what_it_has_asked_for() -> None:
    cancelled: list[str] = []

    class WaitEdges(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                cancelled.append(ctx.path)
                raise

    async with ActorSystem() as system:
        ref = system.spawn(WaitEdges, name="waits")
        futures: list[Any] = []
        await outcome(lambda: futures.append(system.from_thread.ask(ref, Read())))
        assert futures[0].cancel()
        await turns()

        assert cancelled == ["/waits"]


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
