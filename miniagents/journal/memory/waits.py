"""The waits and early answers of a `MemoryJournal`."""

from collections.abc import Callable

import msgspec

from miniagents.journal.waits import (
    WITH_ANSWER,
    ConsumeAnswer,
    Deliver,
    Delivered,
    Delivery,
    EndWait,
    GivenAnswer,
    OpenWait,
    ReleaseWaits,
    Wait,
    WaitId,
    Waits,
    WaitState,
    refused_by_ended,
)


class MemoryWaits:
    """Waits by their ids, and answers that came before their waits.

    Args:
        takes_answers: Returns whether a job can be answered, or None if there is none of this name.
        progress: Called with the job of a wait that was consumed.
    """

    def __init__(self, takes_answers: Callable[[str], bool | None], progress: Callable[[str], None]) -> None:
        self.takes_answers = takes_answers
        self.progress = progress
        self.waits: dict[WaitId, Wait] = {}
        self.early: dict[tuple[str, str], list[GivenAnswer]] = {}

    def open(self, operation: OpenWait) -> Wait:
        """Do `OpenWait`."""
        wait = self.waits.get(operation.wait.id)
        if wait is None:
            wait = msgspec.structs.replace(operation.wait, state=WaitState.WAITING, answer=None)
        elif wait.state is WaitState.CLOSED:
            wait = msgspec.structs.replace(wait, state=WaitState.WAITING)
        answers = self.early.get((wait.id.job, wait.id.name))
        if wait.state is WaitState.WAITING and answers:
            wait = msgspec.structs.replace(wait, state=WaitState.ANSWERED, answer=answers.pop(0))
            if not answers:
                del self.early[wait.id.job, wait.id.name]
        return self._put(wait)

    def deliver(self, operation: Deliver) -> Delivered:
        """Do `Deliver`."""
        is_open = self.takes_answers(operation.job)
        if is_open is None:
            return Delivered(Delivery.UNKNOWN)
        if isinstance(operation.target, WaitId):
            wait = self.waits.get(operation.target) if operation.target.job == operation.job else None
            if not is_open:
                return refused_by_ended((wait,) if wait is not None else ())
            return self._answer(wait, operation) if wait is not None else Delivered(Delivery.UNKNOWN)
        named = self._named(operation.job, operation.target)
        if not is_open:
            return refused_by_ended(named)
        waiting = [wait for wait in named if wait.state is WaitState.WAITING]
        if len(waiting) > 1:
            return Delivered(Delivery.AMBIGUOUS, tuple(waiting))
        if waiting:
            return self._answer(waiting[0], operation)
        answered = [wait for wait in named if wait.state in WITH_ANSWER]
        early = self.early.get((operation.job, operation.target), [])
        if answered or early:
            kept = [Wait(WaitId(operation.job, 0, operation.target), since=e.at, answer=e) for e in early]
            return Delivered(Delivery.TAKEN, tuple(answered or kept))
        self.early[operation.job, operation.target] = [operation.answer]
        return Delivered(Delivery.KEPT)

    def consume(self, operation: ConsumeAnswer) -> bool:
        """Do `ConsumeAnswer`."""
        wait = self.waits.get(operation.id)
        if wait is None or wait.state is not WaitState.ANSWERED:
            return False
        self._put(msgspec.structs.replace(wait, state=WaitState.CONSUMED))
        self.progress(wait.id.job)
        return True

    def end(self, operation: EndWait) -> Wait | None:
        """Do `EndWait`."""
        wait = self.waits.get(operation.id)
        if wait is not None and wait.state is WaitState.WAITING:
            wait = self._put(msgspec.structs.replace(wait, state=operation.state))
        return wait

    def waits_of(self, query: Waits) -> tuple[Wait, ...]:
        """Answer `Waits`."""
        waits = [
            wait for wait in self.waits.values() if query.job in (None, wait.id.job) and wait.state in query.states
        ]
        return tuple(sorted(waits, key=lambda wait: (wait.since, wait.id)))

    def close_of_job(self, job: str) -> None:
        """Close the open waits of a job that has ended."""
        for wait in self._named(job, None):
            if wait.state is WaitState.WAITING:
                self._put(msgspec.structs.replace(wait, state=WaitState.CLOSED))

    def release(self, operation: ReleaseWaits) -> None:
        """Do `ReleaseWaits`."""
        self.forget(operation.job, operation.row, keep_answers=True)

    def forget(self, job: str, row: int, keep_answers: bool) -> None:
        """Remove the waits of a row; their answers may be kept for the waits that come in their place."""
        ids = (job, row)
        for wait in sorted((w for w in self.waits.values() if (w.id.job, w.id.row) == ids), key=lambda wait: wait.id):
            del self.waits[wait.id]
            if keep_answers and wait.answer is not None:
                self.early.setdefault((wait.id.job, wait.id.name), []).append(wait.answer)

    def forget_early(self, job: str) -> None:
        """Remove the answers that were given early to a job."""
        self.early = {key: answers for key, answers in self.early.items() if key[0] != job}

    def _answer(self, wait: Wait, operation: Deliver) -> Delivered:
        if wait.state in WITH_ANSWER:
            return Delivered(Delivery.TAKEN, (wait,))
        if wait.state is not WaitState.WAITING:
            return Delivered(Delivery.ENDED, (wait,))
        if wait.kind and wait.kind not in operation.kinds:
            return Delivered(Delivery.WRONG_KIND, (wait,))
        answered = msgspec.structs.replace(wait, state=WaitState.ANSWERED, answer=operation.answer)
        return Delivered(Delivery.DELIVERED, (self._put(answered),))

    def _named(self, job: str, name: str | None) -> list[Wait]:
        return sorted(
            (w for w in self.waits.values() if w.id.job == job and name in (None, w.id.name)), key=lambda w: w.id
        )

    def _put(self, wait: Wait) -> Wait:
        self.waits[wait.id] = wait
        return wait
