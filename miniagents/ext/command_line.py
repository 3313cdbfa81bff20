"""The form of a command: its help with examples, the JSON object that it prints, and its exit status.

The module needs click. Nothing else of the package is loaded with it, so that help and tab completion come at once.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn, TypeVar

import click

from miniagents.errors import InvalidOptionError, MiniAgentsError, MissingDependencyError

DONE, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130
"""The exit statuses: done, what could not be done, a mistake of the user, and Ctrl-C, as in shells."""

ENVELOPE = 1
"""The version of the JSON object."""

COMPLETING = "_MINIAGENTS_COMPLETE"
"""The environment variable by which a shell asks for completions."""

_JSON, _NAME = "miniagents.json", "miniagents.command"

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A command whose epilog is a list of examples, which is printed as it is."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.epilog:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line.strip()}\n" for line in self.epilog.strip().splitlines()))


class Group(Command, click.Group):
    """A command with commands below it."""

    command_class = Command
    group_class = type


class DeferredCommand(click.Command):
    """The entry of a command in the help of its group. The module of the command is loaded when the command is used.

    Args:
        name: The name of the command.
        target: The command, as `module:name`.
        summary: The line for the help of the group: that which the command itself has.
        section: The heading under which it is listed.
    """

    def __init__(self, name: str, target: str, summary: str, section: str) -> None:
        super().__init__(name, help=summary, short_help=summary)
        self._target = target
        self.section = section

    def load(self) -> click.Command:
        """Return the command itself."""
        module, _, name = self._target.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


class DeferredGroup(Group):
    """A group of deferred commands, listed under headings."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named by arguments, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, DeferredCommand) else command, rest

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in their order."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            assert isinstance(command, DeferredCommand)  # tests/cli/test_program.py: each is
            sections.setdefault(command.section, []).append((name, command.short_help or ""))
        width = max(len(name) for name in self.commands)
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in rows])


def json_option(function: F) -> F:
    """Add `--json` to a command. `carry_out` and errors of the command heed it."""
    return click.option(
        "--json",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_note_json,
        help="Print one JSON object, also for an error.",
    )(function)


def is_json() -> bool:
    """Return True if the command that runs was given `--json`."""
    return bool(click.get_current_context().meta.get(_JSON))


def command_name() -> str:
    """Return the name of the command that runs, as it was typed: "jobs list"."""
    return _typed(click.get_current_context())


def envelope(command: str, result: Any = None, error: dict[str, str] | None = None) -> str:
    """Return the JSON object of a command, in one line: its result, or its error.

    Args:
        command: The command as it was typed: "jobs list".
        result: The result, in the types of JSON.
        error: The error: its kind ("mistake" or "failed") and its text.
    """
    return json.dumps({"version": ENVELOPE, "command": command, "result": result, "error": error})


def carry_out(do: Callable[[], Any], show: Callable[[Any], str], name: str | None = None) -> int:
    """Do what a command asks for, and print the result: as a JSON object with `--json`, or else as text.

    Args:
        do: Returns the result in the types of JSON.
        show: Returns the result as text.
        name: The name of the command for the JSON object; None for that which was typed.

    Returns:
        The exit status of success.

    Raises:
        MiniAgentsError: It could not be done; `run` prints the reason.
    """
    ctx = click.get_current_context()
    ctx.meta[_NAME] = name = name or command_name()
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")  # for a terminal that has not all characters
    try:
        result = do()
    except UnicodeError as error:  # of an argument or the input; the journal holds none that is wrong
        raise InvalidOptionError(f"this is no text in UTF-8: {error}") from error
    print(envelope(name, result) if is_json() else show(result))
    return DONE


def run(command: click.Command, arguments: Sequence[str] | None, name: str) -> int:
    """Run a command.

    Args:
        command: The command.
        arguments: Its arguments; None for those of this process.
        name: Its name.

    Returns:
        The exit status: 0 for success, 1 for a failure, 2 for a mistake of the user, 130 after Ctrl-C.

    Raises:
        SystemExit: With status 0 after the help or the version, and with 2 for arguments that cannot be parsed.
    """
    argv = list(sys.argv[1:] if arguments is None else arguments)
    instruction = os.environ.get(COMPLETING)
    if arguments is None and instruction:
        _complete(command, name, instruction)
    meta: dict[str, Any] = {}
    try:
        with command.make_context(name, argv.copy()) as ctx:
            meta = ctx.meta
            status = command.invoke(ctx)
        sys.stdout.flush()
        return int(status or DONE)
    except click.exceptions.Exit as end:
        raise SystemExit(end.exit_code) from None
    except click.UsageError as error:
        wants_json = meta.get(_JSON) or ("--json" in argv and error.ctx is not None and _has_json(error.ctx.command))
        where = error.ctx.command_path if error.ctx is not None else name
        _print_error(where, f"{error.format_message()} See {where} --help.", "mistake", is_json=bool(wants_json))
        raise SystemExit(MISTAKE) from None
    except MiniAgentsError as error:
        kind = "mistake" if isinstance(error, (InvalidOptionError, MissingDependencyError)) else "failed"
        text = str(error)
        if getattr(error, "kind", None) in ("mistake", "failed"):  # a `CommandError`, whose module is not loaded here
            kind, text = error.kind, " ".join(text.split())  # type: ignore[attr-defined]
        _print_error(name, text, kind, is_json=bool(meta.get(_JSON)), typed=meta.get(_NAME))
        return MISTAKE if kind == "mistake" else FAILED
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python itself writes there at its exit
        return DONE


def _note_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_JSON], ctx.meta[_NAME] = True, _typed(ctx)


def _typed(ctx: click.Context) -> str:
    names: list[str] = []
    level: click.Context | None = ctx
    while level is not None and level.parent is not None:
        names.insert(0, level.info_name or "")
        level = level.parent
    return " ".join(names)


def _has_json(command: click.Command) -> bool:
    return any(isinstance(param, click.Option) and param.is_flag and param.name == "json" for param in command.params)


def _print_error(where: str, text: str, kind: str, *, is_json: bool, typed: str | None = None) -> None:
    if is_json:
        print(envelope(typed or where.partition(" ")[2], error={"kind": kind, "text": text}))
    else:
        print(f"{where}: error: {text}", file=sys.stderr)


def _complete(command: click.Command, name: str, instruction: str) -> NoReturn:
    from click.shell_completion import shell_complete

    sys.exit(shell_complete(command, {}, name, COMPLETING, instruction))
