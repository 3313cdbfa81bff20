"""The book: what became of every message. None is lost, and those of one sender arrive in order."""

from collections import defaultdict
from typing import Any

from miniagents import ActorRef, ActorSystem, Message
from miniagents.errors import ActorStoppedError, DroppedError, MailboxFullError, MiniAgentsError
from tests.storms.calls import Calls


class Job(Message):
    """A numbered message of one sender."""

    sender: int
    number: int
    what: str = "nothing"
    turns: int = 0
    priority: int = 0


class Book:
    """What became of the jobs of a storm.

    Args:
        calls: The calls of the storm.
    """

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self._numbers: dict[int, int] = defaultdict(int)
        self._last: dict[tuple[str, int, int], int] = {}
        self.sent: dict[tuple[int, int], str] = {}
        self.begun: dict[tuple[int, int], str] = {}

    def job(self, sender: int, **fields: Any) -> Job:
        """The next job of a sender."""
        number = self._numbers[sender] = self._numbers[sender] + 1
        return Job(sender=sender, number=number, **fields)

    def begin(self, name: str, job: Job) -> None:
        """An actor begins to handle a job, and has handled no later one of the same sender and priority before."""
        key = (name, job.sender, job.priority)
        last = self._last.get(key, 0)
        self.calls.check(job.number >= last, f"{name} handles {job.number} of sender {job.sender} after {last}")
        self._last[key] = job.number
        self.begun[job.sender, job.number] = name

    async def send(self, ref: ActorRef, job: Job, how: str, timeout: float | None = None) -> Any:
        """Send a job; with "ask" its promise is returned, and watched."""
        key = (job.sender, job.number)
        self.sent[key] = "on its way"
        if how == "ask":
            ask = ref.ask(job, timeout=timeout)
            self.calls.watch(f"ask of {ref.path}", self._asked(key, ask))
            return ask
        try:
            if how == "tell":
                ref.tell(job)
            else:
                await ref.send(job)
        except MailboxFullError:
            self.sent[key] = "refused"
        else:
            self.sent[key] = "sent"
        return None

    async def _asked(self, key: tuple[int, int], ask: Any) -> None:
        try:
            await ask
        except (ActorStoppedError, DroppedError):
            self.sent[key] = "sent"  # then it was begun, or is a dead letter
            raise
        except (MiniAgentsError, TimeoutError):
            self.sent[key] = "refused"  # or cancelled, or too late: the sender knows
            raise
        except Exception:
            self.sent[key] = "sent"
            raise
        else:
            self.sent[key] = "answered"
            self.calls.check(key in self.begun, f"job {key} was answered by nobody")

    def check(self, system: ActorSystem) -> None:
        """Check, after the end of the system, that every job was begun, or is a dead letter, or its sender knows."""
        dead = {(one.message.sender, one.message.number) for one in system.dead_letters if isinstance(one.message, Job)}
        lost = [
            key for key, state in self.sent.items() if state == "sent" and key not in self.begun and key not in dead
        ]
        assert not lost, f"lost without a word: {lost[:5]}"
