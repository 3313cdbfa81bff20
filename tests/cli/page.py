"""The tables of docs/reference/command-line.md, from the program: `python -m tests.cli.page` writes them again."""

from pathlib import Path

import click

from miniagents.cli.program import program
from miniagents.ext.command_line import DeferredCommand
from tests.cli.tmux import ROOT

PAGE = ROOT / "docs" / "reference" / "command-line.md"


def written(page: str) -> str:
    """Return the page with its tables as the program has them."""
    for name, table in (("commands", _commands()), ("options", _options())):
        begin, end = f"<!-- {name}: from the program -->\n", f"<!-- end of {name} -->"
        before, rest = page.split(begin)
        page = f"{before}{begin}{table}{end}{rest.partition(end)[2]}"
    return page


def _commands() -> str:
    lines: list[str] = []
    section = None
    for name, entry in program.commands.items():
        assert isinstance(entry, DeferredCommand)
        if entry.section != section:
            section = entry.section
            lines += ["", f"| {section} | |", "|---|---|"]
        lines.append(f"| `miniagents {name}` | {_cell(entry.short_help or '')} |")
    return "\n".join([*lines[1:], ""])


def _options() -> str:
    lines: list[str] = []
    for name, entry in program.commands.items():
        assert isinstance(entry, DeferredCommand)
        command = entry.load()
        lines += _of(f"miniagents {name}", command)
        for below, sub in getattr(command, "commands", {}).items():
            lines += _of(f"miniagents {name} {below}", sub)
    return "\n".join([*lines, ""])


def _of(name: str, command: click.Command) -> list[str]:
    context = click.Context(command)
    arguments = [param.make_metavar(context) for param in command.params if isinstance(param, click.Argument)]
    lines = ["", f"`{' '.join([name, *arguments])}`: {_cell(' '.join((command.help or '').split()))}"]
    options = [param for param in command.params if isinstance(param, click.Option)]
    if options:
        lines += ["", "| option | |", "|---|---|"]
    for option in options:
        record = option.get_help_record(context)
        assert record is not None  # no option is hidden
        lines.append(f"| `{record[0]}` | {_cell(record[1])} |")
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    """Write the tables into the page."""
    path: Path = PAGE
    path.write_text(written(path.read_text()))


if __name__ == "__main__":
    main()
