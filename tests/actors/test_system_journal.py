"""The journal of a system: opened at its start, closed last."""

import inspect
from typing import Any

import pytest
import structlog

from miniagents import ActorSystem, InvalidOptionError, JournalError, MiniAgents, miniagent
from miniagents.journal import MemoryJournal


class _Shown(MemoryJournal):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.system: ActorSystem | None = None

    def open(self) -> None:
        super().open()
        self.seen.append("open")

    async def close(self) -> None:
        assert self.system is not None
        self.seen.append(f"close, {len(self.system.cells())} cells")
        await super().close()


class _Broken(MemoryJournal):
    def open(self) -> None:
        raise JournalError("no such disk")


async def test_the_system_opens_its_journal_at_the_start_and_closes_it_after_the_tree() -> None:
    journal = _Shown()

    async with MiniAgents(journal=journal) as system:
        journal.system = system
        assert system.journal is journal
        await system.activated(_nothing).ref.started()
        assert journal.seen == ["open"]

    assert journal.seen == ["open", "close, 0 cells"]


@pytest.mark.filterwarnings("error")
def test_a_program_whose_system_cannot_start_is_closed_and_python_warns_of_nothing() -> None:
    async def main() -> None:
        raise AssertionError

    program = main()
    with pytest.raises(JournalError, match="no such disk"):
        ActorSystem(journal=_Broken()).run(program)

    assert inspect.getcoroutinestate(program) == inspect.CORO_CLOSED


async def test_a_journal_that_cannot_be_opened_leaves_the_system_as_it_was() -> None:
    system = ActorSystem(journal=_Broken())

    with pytest.raises(JournalError, match="no such disk"):
        system.activate()

    assert not system.is_running
    assert system.active_loop is None


async def test_a_journal_that_fails_at_its_end_is_logged_and_the_system_ends() -> None:
    class Failing(MemoryJournal):
        async def close(self) -> None:
            raise JournalError("disk full")

    with structlog.testing.capture_logs() as logs:
        async with ActorSystem(journal=Failing()) as system:
            pass

    assert [entry["event"] for entry in logs] == ["system.journal_not_closed"]
    assert system.terminated().done()


def test_the_path_of_a_journal_is_no_journal() -> None:
    with pytest.raises(InvalidOptionError, match="SqliteJournal"):
        ActorSystem(journal="swarm.db")  # type: ignore[arg-type]


def test_durable_agents_need_a_journal() -> None:
    with pytest.raises(InvalidOptionError, match="SqliteJournal"):
        MiniAgents(durable_agents=True)


async def test_a_durable_agent_in_a_system_without_a_journal_is_refused_and_the_error_says_what_to_do() -> None:
    agent = miniagent(durable=True)(_nothing.wrapped)

    async with MiniAgents():
        with pytest.raises(InvalidOptionError, match="needs a journal"):
            agent.inquire()


@miniagent
async def _nothing(ctx: Any) -> None: ...
