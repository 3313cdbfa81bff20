"""The commands for a journal: against a running program, against its file when it is dead, and with mistakes."""

import io
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from miniagents import Message, TextMessage
from miniagents.cli import main
from miniagents.cli.operate import asking
from miniagents.cli.operate.options import ENVIRONMENT
from miniagents.control import address, sockets_of
from miniagents.journal import SqliteJournal
from miniagents.journal.sqlite import schema
from miniagents.messages import DataMessage, decode
from tests.cli.operate.commands import ROOT, Commands, Program, running

PROGRAM = "tests.cli.operate.program"
HOLDER = "tests.cli.operate.holder"

COMMAND = [sys.executable, "-c", "import sys; from miniagents.cli import main; sys.exit(main())"]
"""The command in a process of its own."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a journal."""
    return tmp_path / "swarm.db"


@pytest.fixture
def do(path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    """Runs commands for the journal."""
    return Commands(path, capsys)


@pytest.fixture
def program(path: Path) -> Iterator[Program]:
    """The program that has the journal."""
    with running(PROGRAM, path) as program:
        yield program


@pytest.fixture
def file(path: Path) -> Path:
    """The journal of a program that was killed."""
    with running(PROGRAM, path) as program:
        program.kill()
    return path


def test_a_running_program_shows_its_jobs_dead_letters_and_counts(do: Commands, program: Program, path: Path) -> None:
    jobs = do("jobs", "--json").envelope["result"]["jobs"]
    assert [(job["name"], job["state"]) for job in jobs] == [("job-42", "running"), ("job-43", "running")]
    assert "Publish it?" in do("jobs", "show", "job-43").out
    heads, call = do("jobs", "show", "job-42").out.splitlines()[-2:]
    assert heads.split() == ["ROW", "BY", "AGENT", "STATE", "AT", "ERROR"]
    assert call.split()[1:4] == ["-", "tests.cli.operate.program:writer#writer", "running"]
    assert do("jobs", "show", "job-42", "--all").out.splitlines()[-1] == call
    assert [line.split()[0] for line in do("dead-letters").out.splitlines()] == ["ID", "901", "902"]
    assert "letter 902" in do("dead-letters", "show", "902").out
    assert f"{path}," in do("journal", "stats").out


def test_a_delivered_answer_wakes_its_wait_at_once_and_gets_the_type_that_is_waited_for(
    do: Commands, program: Program
) -> None:
    (wait,) = do("pending", "--json").envelope["result"]["waits"]
    assert (wait["job"], wait["name"], wait["prompt"]["content"]) == ("job-43", "approval", "Publish it?")

    answer = '{"content": "", "approved": true}'
    assert do("deliver", "job-43", "approval", "--data", answer).out == f"delivered to {wait['id']} of job-43\n"

    assert program.line() == "approved: True"
    assert do("deliver", "job-43", wait["id"], "--data", answer).status == 1
    assert do("pending").out == "nothing waits\n"


def test_an_answer_to_a_dead_program_is_there_when_it_runs_again(do: Commands, program: Program, path: Path) -> None:
    (wait,) = do("pending", "--json").envelope["result"]["waits"]
    program.kill()

    assert do("pending", "--json").envelope["result"]["waits"] == [wait]
    assert "no message type 'tests.program:Approval'" in do.refused("deliver", "job-43", "approval", "yes")
    with running(PROGRAM, path) as again:
        assert do("deliver", "job-43", wait["id"], "yes").out == f"delivered to {wait['id']} of job-43\n"
        assert again.line() == "approved: False"


def test_a_dead_letter_of_a_running_program_is_sent_again_and_handled_at_once(do: Commands, program: Program) -> None:
    assert do("dead-letters", "resend", "901").out == "resent 901 (/counter)\n"

    assert program.line() == "got letter 901"
    assert do("dead-letters", "drop", "902").out == "dropped 902 (/counter)\n"
    assert do("dead-letters").out == "no dead letters\n"


def test_a_job_of_a_running_program_is_cancelled_there_and_stays_cancelled_when_it_is_dead(
    do: Commands, program: Program
) -> None:
    assert "runs now; cancel it first" in do("journal", "delete", "job-42").err

    assert do("jobs", "cancel", "job-42", "--by", "ada").out == "job-42 is cancelled\n"

    assert program.line() == "the writer has ended"
    program.kill()
    details = do("jobs", "show", "job-42").out
    assert "state    cancelled" in details
    assert "cancelled by ada" in details


def test_a_running_program_exports_checks_and_vacuums_its_journal(
    do: Commands, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert do("journal", "export", "copy.db").out == f"exported to {tmp_path / 'copy.db'}\n"
    assert do("journal", "export", "copy.db").status == 1
    assert do("journal", "check").out == "the file is whole\n"
    assert do("journal", "vacuum").status == 0

    program.kill()
    assert main(["jobs", "show", "job-42", "--journal", "copy.db"]) == 0


def test_a_program_that_ends_in_order_leaves_no_socket_and_its_file_to_the_commands(
    do: Commands, program: Program, path: Path
) -> None:
    (socket,) = sockets_of(path)

    assert program.end() == 0

    assert not socket.exists()
    assert do("jobs").status == 0


def test_the_file_of_a_dead_program_is_read_and_changed(do: Commands, file: Path) -> None:
    assert sockets_of(file)  # of the dead process

    assert do("dead-letters", "resend", "901").out == "resent 901 (/counter)\n"
    assert do("dead-letters", "drop", "902").out == "dropped 902 (/counter)\n"
    assert do("dead-letters").out == "no dead letters\n"
    assert do("journal", "forget", "job-42").out == "forgot 1 calls of job-42; they run again next time\n"
    assert do("journal", "delete", "job-42").out == "deleted job-42, which was running\n"
    assert do("jobs", "list", "--state", "finished").out == "no jobs\n"
    assert len(do("jobs").out.splitlines()) == 2


def early_answers(file: Path) -> list[Message]:
    """The answers that are kept for waits to come, the oldest first."""
    database = sqlite3.connect(file)
    answers = [decode(body) for (body,) in database.execute("SELECT answer FROM early_answers ORDER BY id")]
    database.close()
    return answers


def test_an_answer_is_given_as_text_as_data_and_from_standard_input(
    do: Commands, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = "kept: nothing waits for {} yet, and job-42 gets it when it does\n"

    assert do("deliver", "job-42", "first", "yes").out == kept.format("first")
    assert do("deliver", "job-42", "second", "--data", '{"approved": true}').out == kept.format("second")
    monkeypatch.setattr(sys, "stdin", io.StringIO("line 1\nline 2\n"))
    assert do("deliver", "job-42", "third", "-").out == kept.format("third")
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"a": 1}\n'))
    assert do("deliver", "job-42", "fourth", "--data", "-").out == kept.format("fourth")
    assert early_answers(file) == [
        TextMessage("yes"),
        DataMessage({"approved": True}),
        TextMessage("line 1\nline 2"),
        DataMessage({"a": 1}),
    ]
    assert "has an answer already" in do("deliver", "job-42", "first", "no").err
    assert len(do("pending").out.splitlines()) == 2


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (("dead-letters", "drop", "901", "902"), "dropped 901 (/counter)\ndropped 902 (/counter)\n"),
        (("journal", "check"), "the file is whole\n"),
    ],
    ids=["several dead letters", "a check of file and jobs"],
)
def test_a_command_of_several_questions_opens_the_file_once(
    do: Commands, file: Path, command: tuple[str, ...], output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[SqliteJournal] = []
    open_journal = SqliteJournal.open

    def counted(journal: SqliteJournal) -> None:
        opened.append(journal)
        open_journal(journal)

    monkeypatch.setattr(SqliteJournal, "open", counted)

    assert do(*command).out.startswith(output)
    assert len(opened) == 1


def test_a_wrong_number_among_dead_letters_changes_nothing(do: Commands, file: Path) -> None:
    assert "no dead letter 7" in do.refused("dead-letters", "drop", "901", "7")

    assert len(do("dead-letters", "list", "--json").envelope["result"]["letters"]) == 2


def test_a_process_that_has_the_file_without_a_system_is_named(
    do: Commands, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_SETTLING", 0.0)
    with running(HOLDER, file) as holder:
        assert f"is open in process {holder.pid}, which answers no commands" in do.refused("jobs")


def test_a_command_waits_for_a_process_that_is_just_ending(
    do: Commands, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(HOLDER, file) as holder:
        sleeps: list[float] = []

        def sleep(seconds: float) -> None:
            sleeps.append(seconds)
            holder.end()

        monkeypatch.setattr(asking, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))

        assert "job-42" in do("jobs").out
        assert len(sleeps) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("jobs", "show", "nope"), "no job 'nope'"),
        (("jobs", "cancel", "nope"), "no job 'nope'"),
        (("deliver", "nope", "x", "y"), "no such job or wait"),
        (("deliver", "job-42", "x"), "a TEXT, or --data"),
        (("deliver", "job-42", "x", "y", "--data", "{}"), "a TEXT, or --data"),
        (("deliver", "job-42", "x", "--data", "{"), "--data is no JSON"),
        (("deliver", "job-42", "x", "--data", "[1]"), "JSON object, not list"),
        (("deliver", "job-42", "x", "--data", "[" * 100_000), "--data is no JSON"),
        (("deliver", "job-42", "x", "--data", '{"n": 36893488147419103232}'), "n"),
        (("deliver", "job-42", "x", "\udcff"), "no Unicode text"),
        (("deliver", "job-42", "a#b", "y"), "without '#'"),
        (("deliver", "job-42", "x", "y", "--type", "app:No"), "no message type 'app:No'"),
        (("dead-letters", "show", "1"), "no dead letter 1"),
        (("journal", "forget", "job-42", "--from", "77"), "no call 77"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(do: Commands, file: Path, arguments: tuple[str, ...], text: str) -> None:
    assert text in do.refused(*arguments)


@pytest.mark.parametrize(
    "arguments", [("jobs", "--state"), ("dead-letters", "show", "x"), ("deliver",), ("jobs", "list", "--state", "odd")]
)
def test_a_wrong_option_is_status_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as info:
        main(list(arguments))

    assert info.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_a_path_without_a_file_is_a_mistake_and_no_file_is_made(do: Commands, path: Path) -> None:
    assert "there is no such file" in do.refused("jobs")
    assert list(path.parent.iterdir()) == []


def test_what_is_no_journal_is_refused_and_stays_as_it_was(do: Commands, path: Path) -> None:
    for content in (b"", b"some text of the user's\n" * 10):
        path.write_bytes(content)
        assert "is no journal of miniagents" in do.refused("jobs")
        assert path.read_bytes() == content
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    assert "is no journal of miniagents" in do.refused("journal", "vacuum")
    assert os.listdir(path.parent) == [path.name]


def test_the_file_of_another_user_is_left_alone(do: Commands, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    monkeypatch.setattr(asking, "sockets_of", lambda path: [])

    assert f"belongs to user {os.getuid()}; give the command as that user" in do.refused("jobs")


def test_an_output_without_all_characters_is_no_error(file: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "deliver", "job-42", "größe", "yes", "--journal", str(file)],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "gr\\xf6\\xdfe" in done.stdout


@pytest.fixture
def app(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a module with an agent, whose job waits in the journal of a dead process."""
    source = (ROOT / "tests" / "cli" / "operate" / "program.py").read_text()
    file = tmp_path / "app_to_check.py"
    file.write_text(source)
    code = "import asyncio, app_to_check; asyncio.run(app_to_check.main())"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
    return file


def checked(app: Path, *arguments: str) -> tuple[int, str]:
    """The status and the output of a check in the folder of the module."""
    done = subprocess.run(
        [*COMMAND, "journal", "check", "--journal", "swarm.db", *arguments],
        cwd=app.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_check_names_the_agents_that_changed_and_the_waits_that_would_vanish(app: Path) -> None:
    assert checked(app, "--import", "app_to_check") == (0, "the file is whole\n")
    assert checked(app, "job-43", "--import", "app_to_check") == (0, "nothing has changed\n")

    app.write_text(app.read_text().replace('prompt="Publish it?"', 'prompt="Really?"') + "\n# a comment\n")
    status, out = checked(app, "--import", "app_to_check")

    assert status == 1
    name = "job-43: the code of app_to_check:publisher#publisher has changed"
    first, second, third, fourth = out.splitlines()
    assert (first, second) == ("the file is whole", name)
    assert third == "job-43: 0 recorded answers would not be used"
    assert fourth.startswith("job-43: the wait approval#")


def test_a_check_without_the_code_says_which_modules_it_needs(app: Path) -> None:
    status, out = checked(app, "job-43")

    assert status == 1
    assert out == "job-43: app_to_check:publisher#publisher is in no loaded module; name it by --import\n"
    assert "no module named 'nowhere'" in checked(app, "--import", "nowhere")[1]
    assert "no job 'job-44'" in checked(app, "job-44", "--import", "app_to_check")[1]


def test_a_running_system_compares_with_its_own_code(do: Commands, program: Program) -> None:
    assert do("journal", "check").out == "the file is whole\n"
    assert "which compares with its own code" in do.refused("journal", "check", "--import", "json")


def test_a_newer_schema_is_a_mistake(do: Commands, file: Path) -> None:
    database = sqlite3.connect(file)
    database.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    database.commit()
    database.close()

    assert "written by a newer MiniAgents" in do.refused("jobs")


def test_a_damaged_file_is_told_and_a_check_finds_it(do: Commands, file: Path) -> None:
    assert do("journal", "vacuum").status == 0
    content = bytearray(file.read_bytes())
    content[4096 * 2 : 4096 * 20] = b"\xff" * (4096 * 18)
    file.write_bytes(content)

    outcomes = [do(*command) for command in (("journal", "check"), ("jobs",), ("dead-letters",))]

    assert {outcome.status for outcome in outcomes} <= {1, 2}
    assert all(len(outcome.err.splitlines()) <= 1 for outcome in outcomes)
    assert "Traceback" not in "".join(outcome.err for outcome in outcomes)


def test_a_journal_without_a_write_ahead_log_stays_one(do: Commands, file: Path) -> None:
    database = sqlite3.connect(file)
    assert database.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    database.close()

    assert do("jobs").status == 0

    database = sqlite3.connect(file)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    database.close()


def test_errors_and_results_have_one_json_envelope_on_standard_output(do: Commands, file: Path) -> None:
    wrong = do("jobs", "show", "nope", "--json")
    assert (wrong.status, wrong.err) == (2, "")
    assert wrong.envelope["error"]["kind"] == "mistake"
    assert (wrong.envelope["command"], wrong.envelope["result"]) == ("jobs show", None)

    assert do("jobs", "cancel", "job-42", "--json").envelope["result"]["state"] == "cancelled"
    failed = do("jobs", "cancel", "job-42", "--json")
    assert (failed.status, failed.envelope["error"]["kind"]) == (1, "failed")


def test_options_may_stand_before_and_after_the_sub_command(do: Commands, file: Path) -> None:
    for command in (
        ["jobs", "--json", "--journal", str(file), "list"],
        ["jobs", "list", "--json", "--journal", str(file)],
    ):
        assert main(command) == 0


def test_what_a_terminal_would_obey_is_written_out(do: Commands, file: Path) -> None:
    do("deliver", "job-42", "\x1b]0;evil\x07", "yes")

    outcome = do("deliver", "job-42", "\x1b]0;evil\x07", "again")
    shown = do("deliver", "job-42", "\x1b[31mred", "yes")

    assert "\x1b" not in outcome.err + shown.out
    assert "\\x1b[31mred" in shown.out


def test_a_reader_that_leaves_is_no_error(file: Path) -> None:
    command = f"{sys.executable} -c 'import sys; from miniagents.cli import main; sys.exit(main())' journal stats"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"],
        cwd=ROOT,
        env={**os.environ, ENVIRONMENT: str(file)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


class TestWithoutAName:
    """Commands that do not name the journal."""

    @pytest.fixture(autouse=True)
    def runtime(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """A runtime folder of these tests alone."""
        monkeypatch.delenv(ENVIRONMENT, raising=False)
        with tempfile.TemporaryDirectory() as folder:
            monkeypatch.setattr(address, "_folders", lambda: [Path(folder) / "miniagents"])
            yield folder

    def test_the_only_process_with_a_journal_is_asked(
        self, path: Path, runtime: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with running(PROGRAM, path, XDG_RUNTIME_DIR=runtime):
            assert main(["jobs", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["result"]["jobs"][0]["name"] == "job-42"

    def test_several_processes_are_listed_with_their_files(
        self, tmp_path: Path, runtime: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first, second = tmp_path / "a.db", tmp_path / "b.db"
        with running(PROGRAM, first, XDG_RUNTIME_DIR=runtime) as one, running(PROGRAM, second, XDG_RUNTIME_DIR=runtime):
            assert main(["jobs"]) == 2
        error = capsys.readouterr().err
        assert f"say which by --journal: {first} (process {one.pid}), {second}" in error

    def test_where_there_is_none_the_error_says_how_to_name_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["jobs"]) == 2
        assert "name the file by --journal or MINIAGENTS_JOURNAL" in capsys.readouterr().err

    def test_the_environment_names_it(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv(ENVIRONMENT, str(file))
        assert main(["jobs"]) == 0
