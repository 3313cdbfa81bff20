"""`miniagents pending` and `miniagents deliver`: what waits for an answer from outside, and the answer."""

import json
import sys
from typing import Any

import click

from miniagents.cli.operate.options import at_journal, by_option, journal_options
from miniagents.cli.printing import moment, plain, table
from miniagents.errors import InvalidOptionError
from miniagents.ext.command_line import Command

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


@click.command(cls=Command, epilog=_PENDING)
@click.option("--job", metavar="JOB", help="Only what this job waits for.")
@journal_options
def pending(job: str | None) -> int:
    """List what waits for an answer."""
    return at_journal(
        "pending",
        lambda target: target.ask("waits.list", {"job": job}),
        lambda result: wait_rows(result["waits"]) if result["waits"] else "nothing waits",
    )


@click.command(cls=Command, epilog=_DELIVER)
@click.argument("job")
@click.argument("name")
@click.argument("text", required=False)
@click.option("--data", metavar="JSON", help="An answer of fields, as a JSON object; - reads it from standard input.")
@click.option("--type", metavar="TYPE", default="", help="The message type (default: what the wait is for).")
@by_option
@journal_options
def deliver(job: str, name: str, text: str | None, data: str | None, type: str, by: str) -> int:
    """Answer what waits.

    NAME is the name that is waited for, or the id that `pending` shows. TEXT is the answer; - reads standard input,
    without its last line feed.
    """
    arguments = {"job": job, "name_or_id": name, "type": type, "by": by}

    def do(target: Any) -> Any:
        if (text is None) == (data is None):
            raise InvalidOptionError("deliver takes a TEXT, or --data JSON")
        if data is not None:
            answer = {"data": _read_json(sys.stdin.read() if data == "-" else data)}
        else:
            answer = {"text": sys.stdin.read().removesuffix("\n") if text == "-" else text}
        return target.ask("waits.deliver", arguments | answer)

    def show(result: Any) -> str:
        if result["id"] is None:
            return f"kept: nothing waits for {plain(name)} yet, and {plain(job)} gets it when it does"
        return f"delivered to {plain(result['id'])} of {plain(job)}"

    return at_journal("deliver", do, show)


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


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidOptionError(f"--data is no JSON: {error}") from None
