"""`Answers`: what the calls of a system wait for from outside, and the way in for it."""

import asyncio
from functools import partial
from typing import Any

import msgspec
import structlog

from miniagents.actors.observing.caller import current_caller
from miniagents.agents.host import AgentHost
from miniagents.agents.interaction import Interaction
from miniagents.agents.records import records_of
from miniagents.agents.waiting.process_waits import ProcessWaits
from miniagents.agents.waiting.resting import Resting
from miniagents.errors import ActorStoppedError, DeadlineExceededError
from miniagents.journal import Journal, encoded, kind_of
from miniagents.journal.limits import MAX_MESSAGE_BYTES
from miniagents.journal.pending_wait import PendingWait, check_name, check_name_or_id, refusal, target_of, text_of
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
from miniagents.messages import Message, decode, to_message
from miniagents.supervision.checking import check_seconds

_log = structlog.get_logger("miniagents")

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

    # Inside

    async def wait(
        self, interaction: Interaction, name: str, prompt: object, timeout: float | None, kind: type[Message]
    ) -> Answer:
        """Wait for an answer; see `InteractionContext.wait_for`.

        Args:
            interaction: The call that waits.
            name: The name of what it waits for.
            prompt: A text, or data, for those who answer.
            timeout: Seconds until it waits no more, more than 0, or None.
            kind: The class that the answer must be of.
        """
        check_name(name)
        if timeout is not None:
            check_seconds("wait_for(timeout=)", timeout, above_zero=True, finite=True)
        records = records_of(interaction)
        while True:
            number = records.number("wait", name.encode())
            id = WaitId(interaction.job, interaction.row, name, number)
            key = text_of(id).encode()
            recorded = await records.recorded(_ANSWER, key)
            if recorded is not None and recorded.value is not None and recorded.message is not None:
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
                with self.resting.of(interaction):
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

    async def open_waits(self, job: str | None = None) -> list[Wait]:
        """Return the waits of a job, or of all (None), as the journal has them, the oldest first."""
        waits = list(self._process.open_waits(job))
        if self._journal is not None:
            waits += await self._journal.read(Waits(job))
        return sorted(waits, key=lambda wait: (wait.since, wait.id))

    async def deliver(self, job: str, name_or_id: str, message: object, by: str | None) -> str | None:
        """Answer a wait; see `MiniAgents.deliver`."""
        answer = to_message(message)
        if by is None:
            caller = current_caller.get()
            by = caller.name if caller is not None else ""
        kind = kind_of(answer)
        given = GivenAnswer(encoded(answer, self._limit), kind, by, self._system.wall_clock.time())
        kinds = tuple(cls.__wire_tag__ for cls in type(answer).__mro__ if issubclass(cls, Message))
        check_name_or_id(name_or_id)
        target = target_of(job, name_or_id)
        journal = self._journal
        is_here = self._process.takes(job, target) or journal is None
        if is_here and job and not self._process.takes(job, target):
            raise refusal(Delivered(Delivery.UNKNOWN), job, name_or_id, kind)
        store: Any = self._process if is_here else journal
        future: asyncio.Future[Delivered] = store.write(Deliver(job, target, given, kinds))
        future.add_done_callback(self._delivered)
        delivered = await asyncio.shield(future)  # whoever delivers may leave before it is on disk
        if delivered.delivery is Delivery.KEPT:
            return None
        if delivered.delivery is not Delivery.DELIVERED:
            raise refusal(delivered, job, name_or_id, kind)
        return text_of(delivered.waits[0].id)

    def _delivered(self, future: "asyncio.Future[Delivered]") -> None:
        if future.cancelled() or future.exception() is not None:
            return
        delivered = future.result()
        if delivered.delivery is Delivery.DELIVERED:
            wait = delivered.waits[0]
            woken = self._woken.get(wait.id)
            if woken is not None:
                _wake(woken, wait)

    @property
    def _journal(self) -> Journal | None:
        return self._system.journal

    @property
    def _limit(self) -> int:
        return self._journal.max_message_bytes if self._journal is not None else MAX_MESSAGE_BYTES


def _wake(woken: "asyncio.Future[Wait | None]", wait: Wait | None) -> None:
    if not woken.done():
        woken.set_result(wait)
