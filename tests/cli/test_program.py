"""The list of commands: what their help says, what it loads, and what completion knows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from miniagents.cli import main
from miniagents.cli.program import program
from miniagents.ext.command_line import COMPLETING, DeferredCommand

ROOT = Path(__file__).parents[2]

MOST_MODULES = 200

LOADED = """
import json, os, sys

commands, completions = json.loads(sys.argv[1])
for arguments, line in [(c, None) for c in commands] + [(None, c) for c in completions]:
    sys.stdout.flush()
    if os.fork() == 0:
        out = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        from miniagents.cli import main
        if line is not None:
            os.environ |= {"_MINIAGENTS_COMPLETE": "bash_complete", "COMP_WORDS": line}
            os.environ["COMP_CWORD"] = str(line.count(" "))
            sys.argv = ["miniagents"]
        try:
            main(None if line is not None else [*arguments, "--help"])
        except SystemExit:
            pass
        os.write(out, f"{len(sys.modules)} {arguments or line}\\n".encode())
        os._exit(0)
    os.wait()
"""


def all_commands() -> dict[tuple[str, ...], click.Command]:
    """All commands, and those below them, by their names."""
    found: dict[tuple[str, ...], click.Command] = {(): program}
    for name, entry in program.commands.items():
        assert isinstance(entry, DeferredCommand)
        command = found[(name,)] = entry.load()
        for below, sub in getattr(command, "commands", {}).items():
            found[(name, below)] = sub
    return found


COMMANDS = all_commands()


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_help_of_each_command_and_completion_load_at_most_200_modules() -> None:
    lines = ["miniagents jo", "miniagents jobs li", "miniagents jobs list --sta", "miniagents serve --p"]
    arguments = json.dumps([list(COMMANDS), lines])

    done = subprocess.run(
        [sys.executable, "-c", LOADED, arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )

    counts = done.stdout.splitlines()
    assert len(counts) == len(COMMANDS) + len(lines)
    assert [line for line in counts if int(line.split()[0]) > MOST_MODULES] == []


def test_the_list_of_commands_says_what_the_help_of_each_begins_with() -> None:
    for name, entry in program.commands.items():
        assert entry.short_help == (COMMANDS[(name,)].help or "").split("\n\n")[0].replace("\n", " "), name


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_each_command_says_what_it_does_and_explains_its_options(names: tuple[str, ...]) -> None:
    command = COMMANDS[names]

    assert command.help
    assert [param.name for param in command.params if isinstance(param, click.Option) and not param.help] == []
    if len(names) == 1:
        assert f"miniagents {names[0]}" in (command.epilog or "")


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("miniagents jo", ["jobs", "journal"]),
        ("miniagents jobs ca", ["cancel"]),
        ("miniagents jobs list --sta", ["--state"]),
        ("miniagents jobs list --state fa", ["failed"]),
    ],
)
def test_a_tab_completes_commands_options_and_choices(
    line: str, completions: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(COMPLETING, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    monkeypatch.setattr(sys, "argv", ["miniagents"])

    with pytest.raises(SystemExit) as info:
        main()

    assert info.value.code == 0
    assert [item.split(",")[1] for item in capsys.readouterr().out.splitlines()] == completions


def test_without_click_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['click'] = None; from miniagents.cli import main; sys.exit(main(['jobs']))"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "miniagents: error: the command needs click: pip install 'miniagents[cli]'\n"


def test_a_wrong_command_is_one_line_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as info:
        main(["job"])

    assert info.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("miniagents: error: No such command 'job'.")
    assert "jobs" in line


def test_a_wrong_option_beside_json_is_an_envelope(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as info:
        main(["jobs", "list", "--json", "--odd"])

    assert info.value.code == 2
    written = json.loads(capsys.readouterr().out)
    assert (written["version"], written["command"], written["error"]["kind"]) == (1, "jobs list", "mistake")
