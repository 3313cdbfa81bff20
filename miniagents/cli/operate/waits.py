"""`miniagents pending` and `miniagents deliver`: what waits for an answer from outside, and the answer."""

import argparse
import json
import sys
from typing import Any

from miniagents.cli.commands import Commands
from miniagents.cli.operate.options import add_by, add_command, login
from miniagents.cli.operate.printing import moment, plain, table
from miniagents.cli.operate.running import carry_out
from miniagents.errors import InvalidOptionError

_PENDING = """
  miniagents pending                         what waits, in the only process that has a journal
  miniagents pending --journal swarm.db --job job-42
  miniagents pending --json | jq '.result.waits[].prompt'
"""

_DELIVER = """
  miniagents deliver job-42 approval "yes"
  miniagents deliver job-42 approval --data '{"approved": true, "reason": "looks good"}'
  miniagents deliver job-42 approval#17.0 "yes"     one of several waits with the name, by its id
  cat answer.txt | miniagents deliver job-42 review -
"""


def add_pending(commands: Commands) -> None:
    """Add the parser of `miniagents pending`."""
    parser = add_command(commands, "pending", help="list what waits for an answer", examples=_PENDING, run=_pending)
    parser.add_argument("--job", metavar="JOB", help="only what this job waits for")


def add_deliver(commands: Commands) -> None:
    """Add the parser of `miniagents deliver`."""
    parser = add_command(commands, "deliver", help="answer what waits", examples=_DELIVER, run=_deliver)
    parser.add_argument("job", metavar="JOB")
    parser.add_argument("name", metavar="NAME", help="the name that is waited for, or the id that `pending` shows")
    parser.add_argument(
        "text", metavar="TEXT", nargs="?", help="the answer; - reads standard input, without its last line feed"
    )
    parser.add_argument("--data", metavar="JSON", help="an answer of fields, as a JSON object; - reads it")
    parser.add_argument("--type", metavar="TYPE", default="", help="the message type (default: what the wait is for)")
    add_by(parser)


def wait_rows(waits: Any) -> str:
    """Return waits as a table."""
    heads = ("JOB", "ID", "AGENT", "SINCE", "EXPIRES", "TYPE", "PROMPT")
    return table(
        heads,
        [
            (
                wait["job"] or "-",
                wait["id"],
                wait["agent"],
                moment(wait["since"]),
                moment(wait["due_at"]),
                wait["type"] or "-",
                wait["prompt"] if wait["prompt"] is not None else "",
            )
            for wait in waits
        ],
    )


def _pending(args: argparse.Namespace) -> int:
    return carry_out(
        args,
        "pending",
        lambda target: target.ask("waits.list", {"job": args.job}),
        lambda result: wait_rows(result["waits"]) if result["waits"] else "nothing waits",
    )


def _deliver(args: argparse.Namespace) -> int:
    arguments = {"job": args.job, "name_or_id": args.name, "type": args.type, "by": args.by or login()}

    def do(target: Any) -> Any:
        if (args.text is None) == (args.data is None):
            raise InvalidOptionError("deliver takes a TEXT, or --data JSON")
        if args.data is not None:
            answer = {"data": _read_json(sys.stdin.read() if args.data == "-" else args.data)}
        else:
            answer = {"text": sys.stdin.read().removesuffix("\n") if args.text == "-" else args.text}
        return target.ask("waits.deliver", arguments | answer)

    def show(result: Any) -> str:
        if result["id"] is None:
            return f"kept: nothing waits for {plain(args.name)} yet, and {plain(args.job)} gets it when it does"
        return f"delivered to {plain(result['id'])} of {plain(args.job)}"

    return carry_out(args, "deliver", do, show)


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidOptionError(f"--data is no JSON: {error}") from None
