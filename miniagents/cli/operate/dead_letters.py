"""`miniagents dead-letters`: list, show, resend and drop the dead letters of durable actors."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from miniagents.cli.commands import Commands
from miniagents.cli.operate.options import add_command, subcommands
from miniagents.cli.operate.printing import amount, moment, plain, table
from miniagents.cli.operate.running import carry_out

_EXAMPLES = """
  miniagents dead-letters --journal swarm.db         all of them
  miniagents dead-letters list --to /counter
  miniagents dead-letters show 1234                  with its message and error
  miniagents dead-letters resend 1234 1235           back into their mailboxes
  miniagents dead-letters drop 1234
"""


def add_dead_letters(commands: Commands) -> None:
    """Add the parser of `miniagents dead-letters`."""
    help = "list, show, resend or drop dead letters"
    parser = add_command(commands, "dead-letters", help=help, examples=_EXAMPLES, run=_list)
    parser.set_defaults(to=None, after=0)
    below = subcommands(parser)
    listing = add_command(below, "list", help="list dead letters, 1,000 at most", examples="", run=_list)
    listing.add_argument("--to", metavar="PATH", help="only those for this actor")
    listing.add_argument("--after", metavar="ID", type=int, default=0, help="only those with a larger id")
    showing = add_command(below, "show", help="show a dead letter with its message", examples="", run=_show)
    showing.add_argument("id", metavar="ID", type=int)
    for name, help, command, verb in (
        ("resend", "put dead letters back into their mailboxes", "letters.resend", "resent"),
        ("drop", "throw dead letters away", "letters.drop", "dropped"),
    ):
        parser = add_command(below, name, help=help, examples="", run=_each(name, command, verb))
        parser.add_argument("id", metavar="ID", type=int, nargs="+")


def _list(args: argparse.Namespace) -> int:
    def show(result: Any) -> str:
        if not result["letters"]:
            return "no dead letters"
        heads = ("ID", "TO", "TYPE", "REASON", "SINCE", "ERROR")
        return table(heads, [_row(letter) for letter in result["letters"]])

    arguments = {"receiver": args.to, "after": args.after}
    return carry_out(args, "dead-letters list", lambda target: target.ask("letters.list", arguments), show)


def _show(args: argparse.Namespace) -> int:
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

    return carry_out(args, "dead-letters show", lambda target: target.ask("letters.show", {"id": args.id}), show)


def _each(name: str, command: str, verb: str) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        def do(target: Any) -> Any:
            # All are looked up first, so that a wrong id changes nothing.
            commands = [(name, {"id": id}) for name in ("letters.show", command) for id in args.id]
            return {"letters": target.ask_all(commands)[len(args.id) :]}

        def show(result: Any) -> str:
            return "\n".join(f"{verb} {letter['id']} ({plain(letter['receiver'])})" for letter in result["letters"])

        return carry_out(args, f"dead-letters {name}", do, show)

    return run


def _row(letter: Any) -> tuple[object, ...]:
    since = moment(letter["buried_at"])
    return letter["id"], letter["receiver"], letter["type"], letter["reason"], since, letter["error"]
