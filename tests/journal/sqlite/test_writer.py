"""The thread of a `SqliteJournal`: group commit, the errors of the disk, kills."""

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from miniagents import JournalError
from miniagents.journal import (
    Accept,
    Begin,
    Claim,
    Count,
    Handle,
    SqliteJournal,
    StandingOf,
    Unacknowledged,
    mailbox_subject,
)
from miniagents.journal.sqlite import database as connection
from miniagents.journal.sqlite.tables import Tables
from tests.journal.sqlite.opened import accept, bodies, on_connection, opened
from tests.journal.sqlite.test_journal import python

pytestmark = pytest.mark.real_time


async def test_a_thousand_senders_share_one_transaction(tmp_path: Path) -> None:
    statements: list[str] = []
    async with opened(tmp_path / "journal.db") as journal:
        await on_connection(journal, lambda database: database.set_trace_callback(statements.append))

        await asyncio.gather(*(accept(journal, b"%d" % n) for n in range(1000)))

        assert statements.count("COMMIT") == 1
        assert len(statements) < 100
        await on_connection(journal, lambda database: database.set_trace_callback(None))
        assert await bodies(journal) == [b"%d" % n for n in range(1000)]


async def test_the_writes_of_a_turn_of_the_loop_are_handed_over_at_its_end(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        assert journal._writer is not None
        writes = [journal.write(Accept(journal.next_id(), "/a", b"")) for _ in range(3)]

        assert journal._writer._queue.empty()
        await asyncio.gather(*writes)


async def test_the_loop_goes_on_while_a_write_waits_for_the_disk(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        foreign = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        foreign.execute("BEGIN EXCLUSIVE")

        write = journal.write(Accept(journal.next_id(), "/a", b"waits"))
        for _ in range(100):
            await asyncio.sleep(0)

        assert not write.done()
        foreign.execute("ROLLBACK")
        foreign.close()
        await write


async def test_a_file_that_another_program_has_locked_is_an_error_and_then_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT", 0.05)
    async with opened(tmp_path / "journal.db") as journal:
        foreign = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        foreign.execute("BEGIN EXCLUSIVE")

        with pytest.raises(JournalError, match="another program has locked the file") as raised:
            await accept(journal, b"refused")
        foreign.execute("ROLLBACK")
        foreign.close()
        await accept(journal, b"accepted")

        assert raised.value.reason == "locked"
        assert await bodies(journal) == [b"accepted"]


async def _fill(journal: SqliteJournal, batch: int, size: int) -> tuple[set[bytes], list[JournalError]]:
    """Accept until something is refused. Return what was accepted, and the errors."""
    accepted, errors = set[bytes](), list[JournalError]()
    for round_ in range(1000):
        wanted = [b"%d/%d " % (round_, n) + bytes(size) for n in range(batch)]
        results = await asyncio.gather(*(accept(journal, body) for body in wanted), return_exceptions=True)
        for body, result in zip(wanted, results, strict=True):
            if isinstance(result, JournalError):
                errors.append(result)
            else:
                assert result is None
                accepted.add(body)
        if errors:
            return accepted, errors
    raise AssertionError("the disk was never full")


async def test_on_a_full_disk_all_of_the_transaction_are_refused_and_later_ones_go_on(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        pages = await on_connection(journal, lambda database: database.execute("PRAGMA page_count").fetchone()[0])
        await on_connection(journal, lambda database: database.execute(f"PRAGMA max_page_count = {pages + 50}"))

        accepted, errors = await _fill(journal, batch=7, size=3000)

        assert len(errors) == 7
        assert {error.reason for error in errors} == {"full"}
        assert "the disk is full; make room, and write again" in str(errors[0])
        assert len({id(error) for error in errors}) == 7
        assert set(await bodies(journal)) == accepted
        await on_connection(journal, lambda database: database.execute("PRAGMA max_page_count = 1000000"))
        await accept(journal, b"again")
        assert set(await bodies(journal)) == accepted | {b"again"}
    async with opened(tmp_path / "journal.db") as journal:
        assert set(await bodies(journal)) == accepted | {b"again"}


LIMITED = """
    import asyncio, resource, signal, sys
    from pathlib import Path
    from miniagents.errors import JournalError
    from tests.journal.sqlite.opened import accept, bodies, opened
    from tests.journal.sqlite.test_writer import _fill

    async def main():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        async with opened(Path(sys.argv[1])) as journal:
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
            accepted, errors = await _fill(journal, batch=5, size=5000)
            assert {error.reason for error in errors} <= {"full", "io"}, errors
            assert set(await bodies(journal)) == accepted
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await accept(journal, b"again")
        async with opened(Path(sys.argv[1])) as journal:
            assert set(await bodies(journal)) == accepted | {b"again"}
        print("accepted some" if accepted else "accepted none")

    asyncio.run(main())
"""


def test_a_write_that_the_system_refuses_is_an_error_and_after_the_limit_is_gone_work_goes_on(tmp_path: Path) -> None:
    with python(LIMITED, tmp_path / "journal.db") as process:
        output, _ = process.communicate(timeout=50)

    assert output == "accepted some\n"


async def test_a_damaged_page_is_an_error_to_who_reads_it_and_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        for n in range(200):
            journal.write(Accept(journal.next_id(), "/a", b"%d" % n + bytes(1000)))
        await accept(journal, b"other", "/b")
        (root,) = await on_connection(
            journal,
            lambda database: database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'envelopes'").fetchone(),
        )
        size = await on_connection(journal, lambda database: database.execute("PRAGMA page_size").fetchone()[0])
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 100)

    async with opened(path) as journal:
        with pytest.raises(JournalError, match="a page of the file is damaged; restore an export") as raised:
            await bodies(journal)
        with pytest.raises(JournalError, match="a page of the file is damaged"):
            await accept(journal, b"refused")
        assert await journal.read(StandingOf("/a", "unknown")) is None

        assert raised.value.reason == "corrupt"


async def test_what_cannot_be_written_is_refused_to_its_writer_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        writes: list[Any] = [
            journal.write(Accept(journal.next_id(), "/a", b"0")),
            journal.write(Accept(2**63, "/a", b"too large a number")),
            journal.write(Accept(journal.next_id(), "/\ud800", b"no text")),
            journal.write(Accept(1, "/a", b"the same number")),
            journal.write(Accept(journal.next_id(), "/a", b"1"), Accept(2**63, "/a", b"with a part that is wrong")),
            journal.write(Accept(journal.next_id(), "/a", b"2")),
        ]
        read = journal.read(Unacknowledged("/a"))
        results = await asyncio.gather(*writes, return_exceptions=True)

        assert [isinstance(result, JournalError) for result in results] == [False, True, True, True, True, False]
        assert [envelope.body for envelope in await read] == [b"0", b"2"]


async def test_a_read_shows_nothing_of_a_write_that_fails(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        pages = await on_connection(journal, lambda database: database.execute("PRAGMA page_count").fetchone()[0])
        await on_connection(journal, lambda database: database.execute(f"PRAGMA max_page_count = {pages + 5}"))

        early = journal.write(Accept(journal.next_id(), "/a", b"early"))
        read = journal.read(Unacknowledged("/a"))
        late = journal.write(Accept(journal.next_id(), "/a", bytes(1_000_000)))

        results = await asyncio.gather(early, read, late, return_exceptions=True)
        assert [type(result) for result in results] == [JournalError] * 3
        assert await bodies(journal) == []


async def test_a_read_that_ends_the_transaction_fails_the_writes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(tables: Tables, _: object) -> None:
        tables._database.execute("ROLLBACK")  # as SQLite does after some errors of the disk
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    async with opened(tmp_path / "journal.db") as journal:
        with monkeypatch.context() as patched:
            patched.setattr(Tables, "read", fail)
            early = journal.write(Accept(journal.next_id(), "/a", b"early"))
            read = journal.read(Unacknowledged("/a"))
            late = journal.write(Accept(journal.next_id(), "/a", b"late"))
            results = await asyncio.gather(early, read, late, return_exceptions=True)

        assert [getattr(result, "reason", None) for result in results] == ["io"] * 3
        assert await bodies(journal) == []


async def test_names_of_a_transaction_that_was_rolled_back_are_entered_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        with pytest.raises(JournalError):
            await journal.write(Accept(1, "/new", b""), Accept(2**63, "/new", b""))

        await accept(journal, b"body", "/new")

        assert await bodies(journal, "/new") == [b"body"]


async def test_progress_of_a_transaction_that_was_rolled_back_is_noted_when_it_comes_again(tmp_path: Path) -> None:
    subject = mailbox_subject("/a")
    async with opened(tmp_path / "journal.db") as journal:
        await journal.write(Begin(subject))
        number = journal.next_id()
        with pytest.raises(JournalError):
            await journal.write(Accept(number, "/a", b""), Handle("/a", number), Claim("/a", 2**63))
        await journal.write(Accept(number, "/a", b""), Handle("/a", number))

    async with opened(tmp_path / "journal.db") as journal:
        assert await journal.write(Begin(subject)) == 0


async def test_a_commit_that_fails_leaves_nothing_and_the_same_write_can_be_tried_again(tmp_path: Path) -> None:
    def deny_commit(action: int, argument: str | None, *_: object) -> int:
        is_commit = action == sqlite3.SQLITE_TRANSACTION and argument == "COMMIT"
        return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK

    async with opened(tmp_path / "journal.db") as journal:
        write = Accept(journal.next_id(), "/a", b"body")
        await on_connection(journal, lambda database: database.set_authorizer(deny_commit))
        with pytest.raises(JournalError):
            await journal.write(write)
        await on_connection(journal, lambda database: database.set_authorizer(None))

        assert await bodies(journal) == []
        await journal.write(write)
        assert await bodies(journal) == [b"body"]
    async with opened(tmp_path / "journal.db") as journal:
        assert journal.next_id() == write.number + 1


async def test_a_write_of_accepts_and_handles_keeps_its_order(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        first, second = journal.next_id(), journal.next_id()
        await journal.write(Accept(first, "/a", b"", message_id="m"))

        again = journal.write(Accept(second, "/a", b"", message_id="m"), Handle("/a", first))

        assert (await again).standing.value == "waiting"
        assert (await journal.read(Count())).envelopes == 0


COUNTER = """
    import asyncio, sys
    from miniagents.journal import Accept, Handle, SqliteJournal, Unacknowledged

    async def main():
        journal = SqliteJournal(sys.argv[1])
        journal.open()

        async def send(sender):
            while True:
                number = journal.next_id()
                await journal.write(Accept(number, "/a", b"%d" % number, message_id=f"m{number}"))
                print("accepted", number, flush=True)
                if number % 3 == 0:
                    await journal.write(Handle("/a", number, b"done"))
                    print("handled", number, flush=True)

        await asyncio.gather(*(send(sender) for sender in range(20)))

    asyncio.run(main())
"""


async def test_nothing_that_was_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    random_ = random.Random(7)
    accepted, handled = set[int](), set[int]()
    for _ in range(5):
        with python(COUNTER, tmp_path / "journal.db") as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(random_.randint(50, 300))]
            process.kill()
            lines += process.stdout.readlines()
        for line in lines:
            if line.endswith("\n"):
                word, text = line.split()
                (accepted if word == "accepted" else handled).add(int(text))

        async with opened(tmp_path / "journal.db") as journal:
            waiting = {int(body) for body in await bodies(journal)}
            for number in handled:
                standing = await journal.read(StandingOf("/a", f"m{number}"))
                assert standing is not None
                assert standing.outcome == b"done"
        assert accepted - handled - waiting <= {number for number in accepted if number % 3 == 0}
        assert not waiting & handled
    assert len(accepted) > 250
    assert len(handled) > 50


WITHOUT_CLOSE = """
    import asyncio, sys, time
    from miniagents.journal import Accept, SqliteJournal

    async def main():
        journal = SqliteJournal(sys.argv[1])
        journal.open()
        journal._writer.put(lambda *_: time.sleep(0.5))  # the thread is busy until the loop has ended
        for n in range(100):
            journal.write(Accept(journal.next_id(), "/a", b"%d" % n))

    asyncio.run(main())
"""


async def test_what_was_written_is_on_disk_after_a_program_that_ended_without_closing(tmp_path: Path) -> None:
    with python(WITHOUT_CLOSE, tmp_path / "journal.db") as process:
        process.communicate(timeout=30)

    assert process.returncode == 0
    async with opened(tmp_path / "journal.db") as journal:
        assert len(await bodies(journal)) == 100


async def test_two_loops_one_after_the_other_use_one_open_journal(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.open()

    def in_a_loop_of_its_own() -> None:
        async def main() -> None:
            journal.write(Accept(journal.next_id(), "/a", b"unawaited"))

        asyncio.run(main())

    await asyncio.to_thread(in_a_loop_of_its_own)
    await accept(journal, b"awaited")

    assert await bodies(journal) == [b"unawaited", b"awaited"]
    await journal.close()
