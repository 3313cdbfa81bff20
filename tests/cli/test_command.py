"""The `miniagents` command as a whole."""

import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest

from miniagents.cli import main


def test_the_installed_command_is_this_one() -> None:
    (found,) = entry_points(group="console_scripts", name="miniagents")

    assert found.load() is main


def test_without_a_command_it_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    assert "bench" in capsys.readouterr().out


def test_it_knows_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as info:
        main(["--version"])

    assert info.value.code == 0
    assert capsys.readouterr().out == f"miniagents {version('miniagents')}\n"


def test_help_loads_nothing_that_only_the_measuring_needs() -> None:
    code = (
        "import sys\n"
        "import structlog\n"  # its console loads rich where it is installed
        "before = set(sys.modules)\n"
        "from miniagents.cli import main\n"
        "try: main(['bench', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('psutil', 'rich') if name in sys.modules and name not in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [[], ["jobs"], ["deliver"], ["journal", "forget"]])
def test_the_help_of_the_commands_for_a_journal_loads_no_journal(command: list[str]) -> None:
    unwanted = ["sqlite3", "miniagents.control", "miniagents.cli.operate.asking", "importlib.metadata", "email"]
    code = (
        "import sys, structlog, msgspec\n"
        "before = set(sys.modules)\n"
        "from miniagents.cli import main\n"
        f"try: main({[*command, '--help']!r})\n"
        "except SystemExit: pass\n"
        f"print([name for name in {unwanted!r} if name in sys.modules and name not in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [["jobs"], ["pending"], ["deliver"], ["dead-letters"], ["journal"]])
def test_the_help_of_a_command_for_a_journal_has_examples(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as info:
        main([*command, "--help"])

    assert info.value.code == 0
    out = capsys.readouterr().out
    assert out.count(f"  miniagents {command[0]} ") >= 2
    assert "--journal PATH" in out


def test_control_c_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("miniagents.cli.operate.asking.Target.__init__", interrupted)

    assert main(["jobs"]) == 130
