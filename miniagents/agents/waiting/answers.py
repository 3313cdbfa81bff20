"""`Answers`: what the calls of a system wait for from outside, and the way in for it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec

from miniagents.actors.observing.caller import current_caller
from miniagents.agents.host import AgentHost
from miniagents.agents.interaction import Interaction
from miniagents.agents.records import WAIT_KIND, records_of
from miniagents.agents.waiting.listening import current_wait_listener
from miniagents.agents.waiting.process_waits import ProcessWaits
from miniagents.agents.waiting.resting import Resting
from miniagents.errors import ActorStoppedError, DeadlineExceededError
from miniagents.journal import Journal, encoded, kind_of
from miniagents.journal.encoding import kinds_of
from miniagents.journal.limits import MAX_MESSAGE_BYTES
from miniagents.journal.pending_wait import PendingWait, answered_id, check_name, refusal, target_of, text_of
from miniagents.journal.waits import (
    ConsumeAnswer,
    Deliver,
    Delivered,
    Delivery,
    EndWait,
    GivenAnswer,
    OpenWait,
    Wait,
    WaitId,
    Waits,
    WaitState,
)
from miniagents.log import log as _log
from miniagents.messages import DataMessage, Message, decode, to_json, to_message
from miniagents.messages.registry import message_class
from miniagents.supervision.checking import check_seconds

_ANSWER = "answer"
"""The kind of the records of answers."""


class Answer(msgspec.Struct, frozen=True):
    """An answer from outside, as the call gets it.

    Attributes:
        message: The message.
        by: The name of the user who has given it, or "".
        at: When it was given, in seconds since the epoch.
    """

    message: Message
    by: str
    at: float


class Answers:
    """The waits of a system for answers from outside.

    The waits of a call that is in the journal are there, too. All others are in memory.

    Args:
        system: The system.
    """

    def __init__(self, system: AgentHost) -> None:
        self._system = system
        self._process = ProcessWaits()
        self._woken: dict[WaitId, asyncio.Future[Wait | None]] = {}
        self.resting = Resting(system)

    def close(self) -> None:
        """Let no timer run on: the system ends."""
        self.resting.close()

    # Inside

    async def wait(
        self,
        interaction: Interaction,
        name: str,
        prompt: object,
        timeout: float | None,
        kind: type[Message],
        *,
        number: int | None = None,
        again: bool = False,
    ) -> Answer:
        """Wait for an answer; see `InteractionContext.wait_for`.

        Args:
            interaction: The call that waits.
            name: The name of what it waits for.
            prompt: A text, or data, for those who answer.
            timeout: Seconds until it waits no more, more than 0, or None.
            kind: The class that the answer must be of.
            number: The number of the wait among those of its name; None for the next one.
            again: Do not take an answer that the call got in an earlier process: wait for another one.
        """
        check_name(name)
        if timeout is not None:
            check_seconds("wait_for(timeout=)", timeout, above_zero=True, finite=True)
        records = records_of(interaction)
        while True:
            number = records.number(WAIT_KIND, name.encode()) if number is None else number
            id = WaitId(interaction.job, interaction.row, name, number)
            key = text_of(id).encode()
            recorded = await records.recorded(_ANSWER, key)
            number = None
            if recorded is not None and recorded.value is not None and recorded.message is not None:
                if again:
                    continue
                by, at = msgspec.msgpack.decode(recorded.value, type=tuple[str, float])
                return Answer(recorded.message, by, at)
            given = await self._given(interaction, id, prompt, timeout, kind)
            message = decode(given.body)
            consume = ConsumeAnswer(id)
            if not isinstance(message, kind):  # it was given before anybody could know which type is waited for
                _log.warning(
                    "wait.answer_of_wrong_type", actor=interaction.path, wait=text_of(id), type=given.kind, by=given.by
                )
                await self._write(interaction, consume)
                continue
            if interaction.records is None:
                self._process.write(consume)
            value = msgspec.msgpack.encode((given.by, given.at))
            await records.record(_ANSWER, key, value, message, also=(consume,))
            return Answer(message, given.by, given.at)

    async def _given(
        self, interaction: Interaction, id: WaitId, prompt: object, timeout: float | None, kind: type[Message]
    ) -> GivenAnswer:
        """Open a wait, and return the answer once it has one.

        Raises:
            DeadlineExceededError: The timeout has passed.
        """
        clock = self._system.wall_clock
        caller = current_caller.get()
        wait = Wait(
            id,
            agent=interaction.path,
            prompt=encoded(to_message(prompt), self._limit) if prompt else b"",
            kind="" if kind is Message else kind.__wire_tag__,
            due_at=clock.time() + timeout if timeout is not None else None,
            since=clock.time(),
            owner=caller.name if caller is not None else "",
        )
        # `_delivered` resolves it, or the timer, or the cancellation of the code ends the wait.
        woken = self._woken[id] = self._system.loop.create_future()
        try:
            standing: Wait | None = await self._write(interaction, OpenWait(wait))
            if standing is not None and standing.state is WaitState.WAITING:
                listener, pending = current_wait_listener.get(), PendingWait.of(standing)
                if listener is not None:
                    listener(pending)
                with self._observed(interaction, pending), self.resting.of(interaction, standing.due_at):
                    standing = await self._woken_by(woken, standing.due_at)
            if standing is None:  # its time is over, unless an answer was quicker
                standing = await self._write(interaction, EndWait(id, WaitState.EXPIRED))
        except asyncio.CancelledError:
            self._cancelled(interaction, id)
            raise
        finally:
            del self._woken[id]
        if standing is not None and standing.answer is not None:
            return standing.answer
        within = f" within {timeout:g} s" if timeout is not None else ""
        raise DeadlineExceededError(f"{interaction.path}: nobody has answered {id.name!r}{within}")

    @contextmanager
    def _observed(self, interaction: Interaction, wait: PendingWait) -> Iterator[None]:
        """Tell the observers of the system that a call waits, and when it waits no more."""
        seen = self._system.observers.answer_awaited(interaction, wait)
        try:
            yield
        except BaseException as error:
            if seen is not None:
                seen.ended(None, error)
            raise
        if seen is not None:
            seen.ended(None, None)

    async def _woken_by(self, woken: "asyncio.Future[Wait | None]", due_at: float | None) -> Wait | None:
        """Wait for the answer; return None when the time is over."""
        if due_at is None:
            return await woken
        timer = self._system.wall_clock.call_at(due_at, partial(_wake, woken, None))
        try:
            return await woken
        finally:
            timer.cancel()

    def _cancelled(self, interaction: Interaction, id: WaitId) -> None:
        """Close a wait whose call waits no more. The end of the system, or of the agent, closes none in the journal."""
        if interaction.records is None:
            self._process.write(EndWait(id, WaitState.CLOSED))
        elif self._system.is_running and not isinstance(interaction.cancelled, ActorStoppedError):
            self._system.durability.write(EndWait(id, WaitState.CLOSED))

    def _write(self, interaction: Interaction, operation: Any) -> "asyncio.Future[Any]":
        store: Any = self._process if interaction.records is None else self._system.journal
        future: asyncio.Future[Any] = store.write(operation)
        return future

    # From outside

    async def pending(self, job: str | None = None) -> tuple[PendingWait, ...]:
        """Return what waits; see `MiniAgents.pending`."""
        return tuple(PendingWait.of(wait) for wait in await self.open_waits(job))

    async def open_waits(self, job: str | None = None) -> Sequence[Wait]:
        """Return the waits of a job, or of all (None), as the journal has them, the oldest first."""
        here = self._process.open_waits(job)
        recorded: Sequence[Wait] = ()
        if self._journal is not None:
            recorded = [wait for wait in await self._journal.read(Waits(job)) if not self._is_stale(wait.id)]
        if not here or not recorded:
            return here or recorded  # each is in order
        return sorted((*here, *recorded), key=lambda wait: (wait.since, wait.id))

    async def deliver(
        self, job: str, name_or_id: str, message: object, by: str | None, *, owner: str | None = None
    ) -> str | None:
        """Answer a wait; see `MiniAgents.deliver`.

        Args:
            owner: The user whose waits alone may be answered; None for all.
        """
        if by is None:
            caller = current_caller.get()
            by = caller.name if caller is not None else ""
        target = self._without_stale(job, target_of(job, name_or_id))
        is_data = isinstance(message, (Mapping, DataMessage))
        waits = await self._at(job, target) if owner is not None or is_data else ()
        answer = _fitting(message, waits)
        kind = kind_of(answer)
        delivered = Delivered(Delivery.UNKNOWN)
        if owner is not None:
            own = tuple(wait for wait in waits if wait.owner == owner)
            own = tuple(wait for wait in own if wait.state is WaitState.WAITING) or own
            if len(own) != 1:
                raise refusal(Delivered(Delivery.AMBIGUOUS, own) if own else delivered, job, name_or_id, kind)
            target = own[0].id
        if isinstance(target, WaitId) or (target and "#" not in target):
            given = GivenAnswer(encoded(answer, self._limit), kind, by, self._system.wall_clock.time())
            delivered = await self._written(Deliver(job, target, given, kinds_of(answer)))
        return answered_id(delivered, job, name_or_id, kind)

    def _is_stale(self, id: WaitId) -> bool:
        """Return True if a wait in the journal was opened by another process, and nobody waits there any more."""
        return id not in self._woken and self._has_come_to_all(id.job)

    def _has_come_to_all(self, job: str) -> bool:
        """Return True if a job has come to all waits that it comes to before it gets an answer. Calls without a job do
        not go on in another process."""
        return not job or self.resting.is_at_rest(job)

    def _without_stale(self, job: str, target: WaitId | str) -> WaitId | str:
        """Return the id of the wait that a name means, if all others of that name are stale; else the target."""
        live = [id for id in self._woken if id.job == job and id.name == target]
        return live[0] if len(live) == 1 and self._has_come_to_all(job) else target

    async def _written(self, deliver: Deliver) -> Delivered:
        """Write an answer where its wait is, and wake that."""
        journal, is_here = self._journal, self._process.takes(deliver.job, deliver.target)
        if journal is None and deliver.job and not is_here:
            return Delivered(Delivery.UNKNOWN)  # there are no jobs
        store: Any = self._process if is_here or journal is None else journal
        future: asyncio.Future[Delivered] = store.write(deliver)
        future.add_done_callback(self._delivered)
        return await asyncio.shield(future)  # whoever delivers may leave before it is on disk

    async def _at(self, job: str, target: WaitId | str) -> tuple[Wait, ...]:
        """Return the waits with an id, or with a name."""
        waits = self._process.at(job, target)
        if not waits and self._journal is not None:
            every = await self._journal.read(Waits(job, tuple(WaitState)))
            waits = tuple(wait for wait in every if target in (wait.id, wait.id.name))
        return waits

    def _delivered(self, future: "asyncio.Future[Delivered]") -> None:
        if future.cancelled() or future.exception() is not None:
            return
        delivered = future.result()
        if delivered.delivery is Delivery.DELIVERED:
            wait = delivered.waits[0]
            woken = self._woken.get(wait.id)
            if woken is not None:
                _wake(woken, wait)
            if self._system.durability is not None:
                self._system.durability.passivation.wake(wait.id.job)

    @property
    def _journal(self) -> Journal | None:
        return self._system.journal

    @property
    def _limit(self) -> int:
        return self._journal.max_message_bytes if self._journal is not None else MAX_MESSAGE_BYTES


def _fitting(message: Any, waits: Sequence[Wait]) -> Message:
    """Return an answer as a message. Data become a message of the class that is waited for, if they fit its fields."""
    answer = to_message(message)
    kinds = {wait.kind for wait in waits if wait.state is WaitState.WAITING}
    cls: Any = message_class(kinds.pop()) if len(kinds) == 1 else None
    if cls is None or isinstance(answer, cls) or not isinstance(answer, DataMessage):
        return answer
    try:
        fields = msgspec.json.decode(to_json(answer.data))
        return msgspec.convert(fields, cls)  # type: ignore[no-any-return]  # it is a class of messages
    except (msgspec.ValidationError, TypeError):
        return answer  # and it is refused, since it has another type


def _wake(woken: "asyncio.Future[Wait | None]", wait: Wait | None) -> None:
    if not woken.done():
        woken.set_result(wait)
