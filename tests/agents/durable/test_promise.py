"""The promise of a journal against its simplest model: a state machine over the lives of a process in memory.

A process has a durable actor that counts, and jobs that ask and wait for an answer from outside. It dies at any write,
or between any two of them, or is stopped in order. The model is what its users were told.
"""

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from miniagents import AnswerRefusedError, MiniAgents, miniagent
from miniagents.journal import MemoryJournal, RowState
from miniagents.testing import VirtualTimeLoop
from tests.actors.actors import Add, Read, Total
from tests.actors.durable.counting import DURABLE, Account
from tests.agents.durable.lives import replies, rows

MOST_DEATHS_IN_A_ROW = 2
"""With one more, what was in hand would be given up."""

_numbers = itertools.count()
_ids = st.integers(0, 4)
_jobs = st.sampled_from(["one", "two"])


@miniagent(alias="oracle", version="1", durable=True)
async def oracle(ctx: Any) -> None:
    """Answer so that no two answers are alike."""
    await asyncio.sleep(0.1)
    ctx.reply(f"{await ctx.message_promises}/{next(_numbers)}")


@miniagent(alias="asks", version="1", durable=True)
async def asks(ctx: Any) -> None:
    """Ask, wait for an answer from outside, and ask again with both."""
    first = str(await oracle.inquire(ctx.message_promises))
    answer = str(await ctx.wait_for("approval"))
    ctx.reply(f"{first} {answer} {await oracle.inquire(f'{first}+{answer}')}")


class Mortal(MemoryJournal):
    """A journal that can die at any moment, too."""

    def die(self) -> None:
        """Lose what is not written yet, and all that comes."""
        self._die_at = self._writes
        self.write(None)  # type: ignore[arg-type]  # it is lost

    @classmethod
    def of(cls, before: MemoryJournal, die_at: int | None) -> "Mortal":
        """Return the journal that the next process opens."""
        journal = cls(patience=0.05, die_at=die_at)
        journal._model = before._model
        return journal


class Promises(RuleBasedStateMachine):
    """Processes one after the other, and what their users know."""

    def __init__(self) -> None:
        super().__init__()
        self.journal = Mortal(patience=0.05)
        self.loop: Any = None
        self.system: Any = None
        self.account: Any = None
        self.deaths = 0
        self.tried = set[int]()
        self.accepted = set[int]()
        self.given: dict[str, str] = {}
        self.offered: dict[str, set[str]] = {"one": set(), "two": set()}
        self.begun = set[str]()
        self.results: dict[str, str] = {}
        self.recorded: dict[int, list[bytes]] = {}

    # The process

    @precondition(lambda self: self.system is None)
    @rule(die_at=st.one_of(st.none(), st.integers(0, 30)))
    def begins(self, die_at: int | None) -> None:
        if self.deaths >= MOST_DEATHS_IN_A_ROW:
            die_at = None
        self.loop = VirtualTimeLoop()
        self.journal = Mortal.of(self.journal, die_at)
        self.system = MiniAgents(journal=self.journal)
        self.perform(self._begin())
        if die_at is None and self.deaths >= MOST_DEATHS_IN_A_ROW:
            self.perform(self._advance())
            self.deaths = 0

    async def _begin(self) -> None:
        await self.system.__aenter__()
        self.account = self.system.spawn(Account, name="account", options=DURABLE)
        await self.account.started()

    async def _advance(self) -> None:
        """Get on with everything, so that something is committed."""
        await self.account.ask(Read())
        for name in self.begun:
            self.system.run_job(name, asks, name)
        await asyncio.sleep(5)

    lives = precondition(lambda self: self.system is not None)

    @lives
    @rule()
    def dies(self) -> None:
        if self.deaths < MOST_DEATHS_IN_A_ROW:
            self.loop.run_until_complete(self._die())
            self.bury()

    async def _die(self) -> None:
        self.journal.die()

    @lives
    @rule()
    def is_stopped(self) -> None:
        self.perform(self.system.__aexit__(KeyboardInterrupt, KeyboardInterrupt(), None))
        if self.system is not None:
            self.deaths = 0
            self.bury()

    def perform(self, action: Coroutine[Any, Any, Any]) -> Any:
        """Do something in the process, and bury the process if it dies of that.

        Returns:
            The result; None if the process has died, or if there is none within some seconds.
        """
        task = self.loop.create_task(action)

        async def watch() -> None:
            for _ in range(400):
                await asyncio.wait([task], timeout=0.05)
                if task.done() or self.journal.is_dead:
                    return

        self.loop.run_until_complete(watch())
        if self.journal.is_dead:
            self.bury()
            return None
        if not task.done():
            task.cancel()
            return None
        return task.result()

    def bury(self) -> None:
        """Forget the process."""
        loop = self.loop
        self.deaths += self.journal.is_dead
        loop.set_exception_handler(lambda *_: None)
        if not self.journal.is_dead:
            loop.run_until_complete(asyncio.sleep(0))
        while tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.wait(tasks, timeout=0.05))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        self.system = self.account = None
        now = {row.id: replies(self.journal, row.id) for row in rows(self.journal).values() if self.has_ended(row)}
        assert {row: now.get(row) for row in self.recorded} == self.recorded, "what had finished ran again"
        self.recorded = now
        assert sum(row.agent.endswith("#oracle") for row in rows(self.journal).values()) <= 2 * len(self.begun)

    @staticmethod
    def has_ended(row: Any) -> bool:
        return row.state is RowState.FINISHED

    # What users do

    @lives
    @rule(number=_ids)
    def sends(self, number: int) -> None:
        async def send() -> bool:
            await self.account.send(Add(10**number), message_id=str(number))
            return True

        self.tried.add(number)
        if self.perform(send()):
            self.accepted.add(number)

    @lives
    @rule()
    def reads(self) -> None:
        total = self.perform(self._read())
        if total is not None:
            assert isinstance(total, Total)
            digits = str(total.value).rjust(5, "0")[::-1]
            counted = {number for number, digit in enumerate(digits) if digit == "1"}
            assert set(digits) <= {"0", "1"}, f"a message was counted twice: {total}"
            assert self.accepted <= counted <= self.tried, f"{self.accepted} were accepted, and {counted} are counted"

    async def _read(self) -> Any:
        return await self.account.ask(Read())

    @lives
    @rule(name=_jobs, seconds=st.sampled_from([0.0, 0.05, 0.15, 5.0]))
    def runs_a_job(self, name: str, seconds: float) -> None:
        async def run() -> None:
            self.system.run_job(name, asks, name)
            await asyncio.sleep(seconds)

        self.begun.add(name)
        self.perform(run())

    @lives
    @rule(name=_jobs)
    def answers(self, name: str) -> None:
        answer = f"yes{next(_numbers)}"

        async def deliver() -> bool:
            try:
                await self.system.deliver(name, "approval", answer)
            except AnswerRefusedError:
                return False
            return True

        self.offered[name].add(answer)
        taken = self.perform(deliver())
        if taken:
            assert name not in self.given, f"job {name} has taken two answers"
            self.given[name] = answer
        elif taken is False:
            self.offered[name].remove(answer)

    @lives
    @rule(name=_jobs)
    def awaits_a_job(self, name: str) -> None:
        async def run() -> str | None:
            return str(await self.system.run_job(name, asks, name))

        self.begun.add(name)
        result = self.perform(run())
        if result is not None:
            first, answer, _ = result.split()
            assert first.startswith(name)
            assert answer == self.given.get(name, answer), f"job {name} was given {self.given[name]}: {result}"
            assert answer in self.offered[name]
            assert result == self.results.setdefault(name, result), f"job {name} has two results"

    def teardown(self) -> None:
        """Let a last process get on with all of it."""
        if self.system is not None:
            self.is_stopped()
        self.deaths = MOST_DEATHS_IN_A_ROW
        self.begins(None)
        for name in sorted(self.begun):
            if name not in self.given:
                self.answers(name)
            self.awaits_a_job(name)
            assert name in self.results, f"job {name} does not end"
        self.reads()
        self.is_stopped()


TestPromises = Promises.TestCase
TestPromises.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
