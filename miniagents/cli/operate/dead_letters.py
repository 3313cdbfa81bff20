"""`miniagents dead-letters`: list, show, resend and drop dead letters: those in a journal, or those that a running
process has in memory."""

import json
from collections.abc import Sequence
from typing import Any

import click

from miniagents.cli.operate.options import at_journal, journal_options
from miniagents.cli.printing import amount, moment, plain, table
from miniagents.cli.running.options import ask_at, at_process, named_process, process_option
from miniagents.errors import InvalidOptionError
from miniagents.ext.command_line import Group

_EXAMPLES = """
  miniagents dead-letters --journal swarm.db         all of them
  miniagents dead-letters list --to /counter
  miniagents dead-letters show 1234                  with its message and error
  miniagents dead-letters resend 1234 1235           back into their mailboxes
  miniagents dead-letters drop 1234
  miniagents dead-letters --process swarm            those that a process has in memory, without a journal
"""


@click.group("dead-letters", cls=Group, invoke_without_command=True, epilog=_EXAMPLES)
@journal_options
@process_option
@click.pass_context
def dead_letters(ctx: click.Context) -> int | None:
    """List, show, resend or drop dead letters."""
    return _list(None, 0) if ctx.invoked_subcommand is None else None


@dead_letters.command("list")
@click.option("--to", metavar="PATH", help="Only those for this actor.")
@click.option("--after", metavar="ID", type=int, default=0, help="Only those with a larger id.")
@process_option
@journal_options
def list_letters(to: str | None, after: int) -> int:
    """List dead letters, 1,000 at most."""
    if named_process() is not None and (to is not None or after):
        raise InvalidOptionError("--to and --after are for the dead letters in a journal; leave --process out")
    return _list(to, after)


@dead_letters.command("show")
@click.argument("id", type=int)
@journal_options
def show_letter(id: int) -> int:
    """Show a dead letter of a journal with its message."""
    if named_process() is not None:
        raise InvalidOptionError("show is for the dead letters in a journal; leave --process out")

    def show(letter: Any) -> str:
        return "\n".join(
            (
                f"id        {letter['id']}",
                f"to        {plain(letter['receiver'])}",
                f"type      {plain(letter['type'])}, {amount(letter['size'])}",
                f"reason    {plain(letter['reason'])}, after {letter['attempts']} attempts before the last one",
                f"accepted  {moment(letter['accepted_at'])}",
                f"dead      {moment(letter['buried_at'])}",
                f"sender's  {plain(letter['message_id'])}",
                f"error     {plain(letter['error'])}",
                f"message   {plain(json.dumps(letter['message'], ensure_ascii=False))}",
            )
        )

    return at_journal("dead-letters show", lambda target: target.ask("letters.show", {"id": id}), show)


@dead_letters.command("resend")
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
@process_option
@journal_options
def resend(ids: Sequence[int]) -> int:
    """Put dead letters back into their mailboxes."""
    if named_process() is not None:
        return _each_in_memory("dead-letters resend", "system.letters.resend", "resent", ids)
    return _each("dead-letters resend", "letters.resend", "resent", ids)


@dead_letters.command("drop")
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
@process_option
@journal_options
def drop(ids: Sequence[int]) -> int:
    """Throw dead letters away."""
    if named_process() is not None:
        return _each_in_memory("dead-letters drop", "system.letters.drop", "dropped", ids)
    return _each("dead-letters drop", "letters.drop", "dropped", ids)


def _list(to: str | None, after: int) -> int:
    if named_process() is not None:
        return at_process(lambda process: ask_at(process, "system.letters"), _in_memory, "dead-letters list")

    def show(result: Any) -> str:
        if not result["letters"]:
            return "no dead letters"
        heads = ("ID", "TO", "TYPE", "REASON", "SINCE", "ERROR")
        return table(heads, [_row(letter) for letter in result["letters"]])

    arguments = {"receiver": to, "after": after}
    return at_journal("dead-letters list", lambda target: target.ask("letters.list", arguments), show)


def _in_memory(result: Any) -> str:
    if not result["letters"]:
        return "no dead letters"
    heads = ("ID", "TO", "TYPE", "REASON", "SINCE")
    rows = [
        (letter["id"], letter["receiver"], letter["type"], letter["reason"], moment(letter["at"]))
        for letter in result["letters"]
    ]
    return table(heads, rows)


def _each_in_memory(typed: str, command: str, verb: str, ids: Sequence[int]) -> int:
    def show(result: Any) -> str:
        return "\n".join(
            f"{verb if letter.get('accepted', True) else 'refused again:'} {letter['id']} ({plain(letter['receiver'])})"
            for letter in result["letters"]
        )

    return at_process(lambda process: {"letters": [ask_at(process, command, id=id) for id in ids]}, show, typed)


def _each(typed: str, command: str, verb: str, ids: Sequence[int]) -> int:
    def do(target: Any) -> Any:
        # All are looked up first, so that a wrong id changes nothing.
        commands = [(name, {"id": id}) for name in ("letters.show", command) for id in ids]
        return {"letters": target.ask_all(commands)[len(ids) :]}

    def show(result: Any) -> str:
        return "\n".join(f"{verb} {letter['id']} ({plain(letter['receiver'])})" for letter in result["letters"])

    return at_journal(typed, do, show)


def _row(letter: Any) -> tuple[object, ...]:
    since = moment(letter["buried_at"])
    return letter["id"], letter["receiver"], letter["type"], letter["reason"], since, letter["error"]
