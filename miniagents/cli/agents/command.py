"""`miniagents run`, `chat`, `eval`, `record` and `replay`: the options of the commands."""

import os
from typing import Any

import click

from miniagents.ext.command_line import Command, is_json, json_option

_RUN_EXAMPLES = """
  miniagents run mypackage.agents:writer "Write a haiku"
  cat report.md | miniagents run mypackage.agents:summarizer -
  miniagents run mypackage.agents:writer "Hi" --json | jq -r .result.text
"""

_CHAT_EXAMPLES = """
  miniagents chat mypackage.agents:assistant
  miniagents chat mypackage.agents:assistant --history CHAT.md      go on with what is in the file
"""


_RECORD_EXAMPLES = """
  miniagents record run.mar mypackage.agents:writer "Write a haiku"
  miniagents record run.mar mypackage.agents:writer "Write a haiku" --texts redacted
"""

_REPLAY_EXAMPLES = """
  miniagents replay run.mar
  miniagents replay run.mar --port 8100
"""

_EVAL_EXAMPLES = """
  miniagents eval mypackage.agents:writer cases.jsonl
  miniagents eval mypackage.agents:writer cases.jsonl --check contains --check mypackage.checks:polite --repeat 5
  miniagents eval mypackage.agents:writer mypackage.cases:CASES --json | jq .result.checks
"""


@click.command("run", cls=Command, epilog=_RUN_EXAMPLES)
@click.argument("target", metavar="MODULE:AGENT")
@click.argument("text", required=False)
@click.option("--timeout", type=float, metavar="SECONDS", help="Time that the call may take (default: no bound).")
@click.option("--factory", is_flag=True, help="MODULE:AGENT is a function whose call gives the agent.")
@json_option
def run(**options: Any) -> int:
    """Call an agent, and print its replies as they stream.

    TEXT is the message; - reads it from standard input. Standard output carries the replies alone: what the program
    prints, and its log, go to standard error. With --json each reply is one JSON object in a line of its own.
    """
    # Not imported at the top: help loads no agents.
    from miniagents.cli.agents.replies import run_agent

    return run_agent(**options, as_json=is_json(), settings=_settings())


@click.command("chat", cls=Command, epilog=_CHAT_EXAMPLES)
@click.argument("target", metavar="MODULE:AGENT")
@click.option("--history", type=click.Path(), metavar="FILE", help="A Markdown file that keeps the dialog.")
@click.option("--factory", is_flag=True, help="MODULE:AGENT is a function whose call gives the agent.")
def chat(**options: Any) -> int:
    """Talk to an agent in the terminal.

    The agent gets the whole dialog with each call. Enter sends a message, Alt+Enter begins a new line, and Ctrl+C,
    Ctrl+D or "exit" end the dialog.
    """
    from miniagents.cli.agents.dialog import chat_with

    return chat_with(**options, settings=_settings())


@click.command("eval", cls=Command, epilog=_EVAL_EXAMPLES)
@click.argument("target", metavar="MODULE:AGENT")
@click.argument("cases")
@click.option(
    "--check",
    "checks",
    multiple=True,
    default=["exact"],
    metavar="CHECK",
    help="A function of a case and its replies, as MODULE:FUNCTION, or `exact` (the default) or `contains`, which "
    "compare the text with `expected`; may be repeated.",
)
@click.option("--repeat", type=int, default=1, show_default=True, metavar="N", help="Attempts at each case.")
@click.option("--concurrency", type=int, default=10, show_default=True, metavar="N", help="Attempts at a time.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Time that one call may take (default: no bound).")
@click.option("--factory", is_flag=True, help="MODULE:AGENT is a function whose call gives the agent.")
@json_option
def evaluate(**options: Any) -> int:
    """Let an agent work on cases, and check its replies.

    CASES is a file with a JSON object in each line, with `input`, and `expected` and `name` if you like, or a list of
    miniagents.testing.Case as MODULE:NAME. The report has the rate of each check and case, with its 95 % interval. The
    status is 0 if all attempts have passed all checks, and 1 otherwise.
    """
    from miniagents.cli.agents.evaluation import evaluate_agent

    return evaluate_agent(**options, settings=_settings())


@click.command("record", cls=Command, epilog=_RECORD_EXAMPLES)
@click.argument("file", type=click.Path())
@click.argument("target", metavar="MODULE:AGENT")
@click.argument("text", required=False)
@click.option(
    "--texts",
    type=click.Choice(["facts", "redacted", "full"]),
    default="facts",
    show_default=True,
    help="Prompts, replies and errors in the recording: their types and lengths alone, without secrets, or in full.",
)
@click.option("--timeout", type=float, metavar="SECONDS", help="Time that the call may take (default: no bound).")
@click.option("--factory", is_flag=True, help="MODULE:AGENT is a function whose call gives the agent.")
@json_option
def record(**options: Any) -> int:
    """Call an agent as `run` does, and record what the observer's page would show into FILE.

    The file belongs to its owner alone. An older recording of that name is replaced. A program of your own records
    itself with WebObserver(record="run.mar").
    """
    from miniagents.cli.agents.recordings import record_agent

    return record_agent(**options, as_json=is_json(), settings=_settings())


@click.command("replay", cls=Command, epilog=_REPLAY_EXAMPLES)
@click.argument("file", type=click.Path())
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=int, default=0, show_default=True, help="The port, 0 for any.")
def replay(file: str, host: str, port: int) -> int:
    """Show a recording in the browser, with a time slider, until Ctrl-C.

    FILE is what `miniagents record` or WebObserver(record=) has written. The process that wrote it need not run any
    more. The address is printed, with a token that works once.
    """
    from miniagents.cli.agents.recordings import play

    return play(file, host, port)


def _settings() -> dict[str, Any]:
    """Return the options of the system that the command makes: other commands can ask it, unless that is turned off."""
    return {"control": os.environ.get("MINIAGENTS_CONTROL", "1") not in ("", "0")}
