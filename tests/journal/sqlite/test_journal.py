"""`SqliteJournal`: the rules of a journal, opening and closing, export and vacuum."""

import errno
import inspect
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pytest

from miniagents import InvalidOptionError, JournalError, JournalLockedError
from miniagents.journal import (
    Accept,
    ChangeJob,
    Count,
    Handle,
    Jobs,
    JobState,
    KeepMessage,
    SqliteJournal,
    StandingOf,
    StartJob,
)
from miniagents.journal.limits import MAX_MESSAGE_BYTES
from miniagents.journal.sqlite import schema
from miniagents.journal.sqlite.tables import Tables
from miniagents.journal.sqlite.writer import Writer
from miniagents.testing import check_journal
from tests.journal.sqlite.opened import accept, bodies, on_connection, opened

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[3]

HOLDER = """
    import asyncio, sys
    from miniagents.journal import SqliteJournal
    journal = SqliteJournal(sys.argv[1])
    journal.open()
    print("open", flush=True)
    sys.stdin.read()
"""


def python(code: str, *arguments: object, **options: object) -> "subprocess.Popen[str]":
    """A Python that runs code."""
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **options,
    )


@pytest.mark.parametrize("rollback_journal", [False, True])
async def test_a_sqlite_journal_keeps_the_rules_of_a_journal(tmp_path: Path, rollback_journal: bool) -> None:
    await check_journal(lambda: SqliteJournal(tmp_path / "journal.db", rollback_journal=rollback_journal))


async def test_a_second_journal_of_a_file_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        second = SqliteJournal(tmp_path / "journal.db")
        with pytest.raises(JournalLockedError, match=f"is open in process {os.getpid()}: end that process"):
            second.open()
        await accept(journal, b"first")

    second.open()
    assert await bodies(second) == [b"first"]
    await second.close()


async def test_two_processes_cannot_open_one_file_and_a_killed_one_leaves_it_free(tmp_path: Path) -> None:
    with python(HOLDER, tmp_path / "journal.db") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        journal = SqliteJournal(tmp_path / "journal.db")

        with pytest.raises(JournalLockedError) as raised:
            journal.open()
        holder.kill()
        holder.wait()
        journal.open()

        assert raised.value.pid == holder.pid
        await journal.close()


FORK = """
    import asyncio, os, sys
    from pathlib import Path
    from miniagents.errors import JournalError, JournalLockedError
    from miniagents.journal import SqliteJournal
    from tests.journal.sqlite.opened import accept, bodies

    journal = SqliteJournal(sys.argv[1])
    journal.open()
    asyncio.run(accept(journal, b"parent"))
    child = os.fork()  # between two loops: a loop itself must not be forked
    if child == 0:
        for call in (lambda: asyncio.run(accept(journal, b"child")), journal.open, SqliteJournal(sys.argv[1]).open):
            try:
                call()
            except JournalError as error:
                assert "was forked" in str(error), error
            else:
                raise AssertionError("the child has used the journal")
        asyncio.run(journal.close())
        sys.exit()
    _, status = os.waitpid(child, 0)
    print("child", status)
    try:
        SqliteJournal(sys.argv[1]).open()
    except JournalLockedError:
        print("locked")
    asyncio.run(accept(journal, b"parent again"))
    print(asyncio.run(bodies(journal)))
    asyncio.run(journal.close())
"""


def test_a_forked_child_neither_uses_nor_closes_the_journal_of_its_parent(tmp_path: Path) -> None:
    # The child ends as a program does, so that whatever is deallocated at the exit is.
    with python(FORK, tmp_path / "journal.db") as process:
        output, _ = process.communicate(timeout=30)

    assert output == "child 0\nlocked\n[b'parent', b'parent again']\n"


FORKED_AWAY = """
    import asyncio, os, sys, time
    from miniagents.journal import SqliteJournal

    journal = SqliteJournal(sys.argv[1])
    journal.open()
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, b"the child runs")
        time.sleep(30)
    os.read(reading, 1)
    print("forked", flush=True)
    os._exit(0)
"""


async def test_a_forked_child_does_not_hold_the_lock_when_its_parent_has_ended(tmp_path: Path) -> None:
    process = python(FORKED_AWAY, tmp_path / "journal.db", start_new_session=True)
    try:
        assert process.wait(timeout=30) == 0

        async with opened(tmp_path / "journal.db") as journal:
            assert await bodies(journal) == []
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


async def test_all_files_belong_to_their_owner_alone_from_the_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch(0o644)
    before = os.umask(0o022)
    try:
        async with opened(path) as journal:
            await accept(journal, b"secret")
            await journal.export(tmp_path / "export.db")
            files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(before)

    names = ["export.db", "journal.db", "journal.db-shm", "journal.db-wal", "journal.db.lock"]
    assert files == dict.fromkeys(names, 0o600)


async def test_a_newer_schema_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        await accept(journal, b"newer")
        await on_connection(journal, lambda database: database.execute("PRAGMA user_version = 99"))
    content = path.read_bytes()

    with pytest.raises(JournalError, match=r"has version 99, and this one reads up to 1\. Upgrade miniagents"):
        SqliteJournal(path).open()

    assert path.read_bytes() == content


async def test_an_older_schema_is_migrated_in_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        await accept(journal, b"older")
    table = "CREATE TABLE added (x INTEGER)"

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, (table, "CREATE TABLE a syntax error")))
    with pytest.raises(JournalError):
        SqliteJournal(path).open()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[:1], (table,)))
    async with opened(path) as journal:
        assert await bodies(journal) == [b"older"]
        assert await on_connection(journal, lambda database: database.execute("SELECT * FROM added").fetchall()) == []
        assert await on_connection(journal, lambda d: d.execute("PRAGMA user_version").fetchone()) == (2,)


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "other.db")
    database.execute("CREATE TABLE other (x)")
    database.close()

    with pytest.raises(JournalError, match=r"other\.db is the database of another program"):
        SqliteJournal(tmp_path / "other.db").open()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_text("no database at all, but text " * 100)

    with pytest.raises(JournalError, match="no database of SQLite; restore an export") as raised:
        SqliteJournal(tmp_path / "journal.db").open()
    assert raised.value.reason == "corrupt"


def test_a_folder_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"its folder must be there, and be writable"):
        SqliteJournal(tmp_path / "absent" / "journal.db").open()


READ_ONLY = """
    import os, sys
    from miniagents.errors import JournalError
    from miniagents.journal import SqliteJournal
    if os.geteuid() == 0:
        os.seteuid(65534)  # root may write everything
    try:
        SqliteJournal(sys.argv[1]).open()
        print("opened")
    except JournalError as error:
        print(error)
"""


async def test_a_file_that_this_user_cannot_write_is_refused_until_it_can() -> None:
    with tempfile.TemporaryDirectory() as folder:  # not in that of pytest, where others may not enter
        path = Path(folder) / "journal.db"
        async with opened(path) as journal:
            await accept(journal, b"read")
        Path(folder).chmod(0o777)
        if os.geteuid() == 0:
            for file in (path, path.with_name("journal.db.lock")):
                os.chown(file, 65534, -1)
        path.chmod(0o400)

        with python(READ_ONLY, path) as process:
            refused, _ = process.communicate(timeout=30)
        path.chmod(0o600)
        with python(READ_ONLY, path) as process:
            accepted, _ = process.communicate(timeout=30)

    assert refused.startswith(f"{path}: ")
    assert "Permission denied" in refused
    assert accepted == "opened\n"


async def test_a_lock_is_free_again_after_its_pid_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = SqliteJournal(tmp_path / "journal.db")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(JournalError, match="No space left on device"):
            journal.open()

    journal.open()
    await journal.close()


def test_a_system_without_flock_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miniagents.journal.sqlite.file_lock.fcntl", None)

    with pytest.raises(JournalError, match="a journal needs flock, which this system does not have"):
        SqliteJournal(tmp_path / "journal.db").open()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"synchronous": "OFF"}, "synchronous= must be 'FULL' or 'NORMAL', not 'OFF'"),
        ({"keep_for": 0}, "keep_for= must be more than 0 seconds"),
        ({"keep_ids_for": -1.0}, "keep_ids_for= must be more than 0 seconds"),
        ({"max_message_bytes": 0}, "max_message_bytes= must be 1 or more"),
        ({"patience": -0.1}, "patience= must be 0 seconds or more"),
    ],
)
def test_options_outside_of_their_range_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidOptionError, match=text):
        SqliteJournal("journal.db", **options)  # type: ignore[arg-type]


def test_a_journal_needs_a_file() -> None:
    with pytest.raises(InvalidOptionError, match="MemoryJournal is for the memory"):
        SqliteJournal(":memory:")


@pytest.mark.parametrize(("synchronous", "level"), [("FULL", 2), ("NORMAL", 1)])
async def test_the_settings_of_the_connection_are_those_that_durability_needs(
    tmp_path: Path, synchronous: str, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    async with opened(tmp_path / "journal.db", synchronous=synchronous) as journal:
        names = ("synchronous", "fullfsync", "checkpoint_fullfsync", "journal_mode", "journal_size_limit")
        values = [
            await on_connection(journal, lambda d, name=name: d.execute(f"PRAGMA {name}").fetchone()[0])  # type: ignore[misc]
            for name in names
        ]

    assert values == [level, 1, 1, "wal", 64 * 1024 * 1024]


async def test_a_rollback_journal_leaves_no_write_ahead_log(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", rollback_journal=True) as journal:
        await accept(journal, b"body")
        assert not (tmp_path / "journal.db-wal").exists()


async def test_an_export_is_one_file_with_all_that_was_written_and_can_be_opened(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        written = journal.write(Accept(journal.next_id(), "/a", b"before"))
        await journal.export(tmp_path / "export.db")
        await accept(journal, b"after")
        assert written.done()
        with pytest.raises(JournalError, match="is there already; export into a new file"):
            await journal.export(tmp_path / "export.db")

    assert [file.name for file in tmp_path.glob("export*")] == ["export.db"]
    async with opened(tmp_path / "export.db") as copy:
        assert await bodies(copy) == [b"before"]


async def test_a_vacuum_gives_back_the_room_of_what_is_gone(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        await journal.write(*(KeepMessage(b"%d" % n, bytes(10_000)) for n in range(200)))
        await journal.write(Accept(1, "/gone", b"", "gone"), Handle("/gone", 1))
        await accept(journal, b"stays")
        before = journal.size()

        await journal.vacuum()

        assert before > 2_000_000
        assert journal.size() < 200_000
        assert (await journal.read(Count())).messages == 0
        names = await on_connection(journal, lambda database: database.execute("SELECT name FROM names").fetchall())
        assert sorted(names) == [("",), ("/a",)]
        assert await bodies(journal) == [b"stays"]
        await accept(journal, b"again", "/gone")
        assert await bodies(journal, "/gone") == [b"again"]


async def test_what_is_older_than_its_time_is_removed_when_the_journal_is_opened(tmp_path: Path) -> None:
    now = time.time()
    async with opened(tmp_path / "journal.db") as journal:
        for name, age in (("old", 100.0), ("new", 0.0)):
            number = journal.next_id()
            await journal.write(StartJob(name, "agent", b"", b""), ChangeJob(name, JobState.FINISHED, at=now - age))
            await journal.write(Accept(number, "/a", b"", message_id=name), Handle("/a", number, at=now - age))

    async with opened(tmp_path / "journal.db", keep_for=50.0) as journal:
        await journal.read(Count())  # the first look is taken after the first work at the latest
        assert [job.name for job in await journal.read(Jobs())] == ["new"]
        assert await journal.read(StandingOf("/a", "old")) is not None
    async with opened(tmp_path / "journal.db", keep_ids_for=50.0) as journal:
        await journal.read(Count())
        standings = [await journal.read(StandingOf("/a", name)) for name in ("old", "new")]
        assert [standing is None for standing in standings] == [True, False]


async def test_numbers_go_on_after_a_restart_also_where_nothing_of_them_is_left(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        for _ in range(41):
            journal.next_id()
        number = journal.next_id()
        await journal.write(Accept(number, "/a", b""), Handle("/a", number))

    async with opened(tmp_path / "journal.db") as journal:
        assert journal.next_id() == 43


async def test_numbers_go_on_although_the_first_look_for_what_is_old_failed_while_the_journal_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_looked = threading.Event()
    start, expire = threading.Thread.start, Writer._expire

    def fail(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    def look(writer: Writer) -> None:
        expire(writer)
        has_looked.set()

    def start_and_wait(thread: threading.Thread) -> None:
        start(thread)
        assert has_looked.wait(20)

    async with opened(tmp_path / "journal.db") as journal:
        await accept(journal, b"")
        last = journal.next_id()
        await accept(journal, b"")
    monkeypatch.setattr(Tables, "expire", fail)
    monkeypatch.setattr(Writer, "_expire", look)
    monkeypatch.setattr(threading.Thread, "start", start_and_wait)
    async with opened(tmp_path / "journal.db", keep_for=1.0) as journal:
        assert journal.next_id() > last


def test_the_docs_list_each_option_of_the_journal_with_its_default() -> None:
    page = (ROOT / "docs" / "guides" / "durability.md").read_text()
    documented = dict(re.findall(r"^\| `(\w+)=` \| `?([^`|]+?)`? \|", page.partition("## The file")[2], re.MULTILINE))
    options = [option for option in inspect.signature(SqliteJournal).parameters.values() if option.name != "path"]
    defaults = {option.name: str(option.default).replace("FULL", '"FULL"') for option in options}
    defaults["max_message_bytes"] = f"{MAX_MESSAGE_BYTES // 2**20} MiB"

    assert documented == defaults
