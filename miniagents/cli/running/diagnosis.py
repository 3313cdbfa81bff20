"""`miniagents diagnose`: what makes a running process slow, with the evidence, on one page."""

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from miniagents.cli.printing import plain, seconds
from miniagents.cli.running.options import at_process, process_options
from miniagents.ext.command_line import Command

if TYPE_CHECKING:
    from miniagents.cli.running.processes import Process
    from miniagents.control.system.stacks import Place

_EXAMPLES = """
  miniagents diagnose                        one page about the only process
  miniagents diagnose --process swarm --seconds 5
  miniagents diagnose --json | jq .result.loop.holders
"""

_EVERY = 0.02
"""Seconds between two looks at the event loop."""

_PATIENCE = 5.0
"""Seconds that the loop has to answer."""

_SHOWN = 5


@click.command("diagnose", cls=Command, epilog=_EXAMPLES)
@click.option(
    "--seconds",
    "duration",
    type=click.FloatRange(0.0),
    metavar="N",
    default=1.0,
    show_default=True,
    help="How long to look at the event loop.",
)
@process_options
def diagnose(duration: float) -> int:
    """Tell what makes a running process slow, with the evidence.

    The page shows who holds the event loop, the fullest mailboxes, the messages and calls that take the longest and
    where they wait, rate limits and budgets at their edge, and the actors that were restarted most.
    """

    def do(process: "Process") -> Any:
        # Not imported at the top: help loads no sockets.
        from miniagents.cli.running.processes import ask_process
        from miniagents.control import CommandError
        from miniagents.control.system.stacks import ask_place

        places: list[Place] = []
        until = time.monotonic() + duration
        while (place := ask_place(process.socket)) is not None:
            places.append(place)
            if not time.monotonic() < until:  # written this way round, NaN ends it, too
                break
            time.sleep(_EVERY)
        began = time.monotonic()
        loop: dict[str, Any] = {"answered_after": None, **_holders(places)}
        facts: dict[str, Any] = {}
        try:
            facts = ask_process(process, "system.diagnose", {}, patience=_PATIENCE)
            loop["answered_after"] = round(time.monotonic() - began, 4)
        except CommandError as error:
            loop["error"] = str(error)
        who = {"pid": process.pid, "system": process.system, "program": process.program, "journal": process.journal}
        return {"process": who, "loop": loop, **facts}

    return at_process(do, page)


def page(result: Any) -> str:
    """Return a diagnosis as text."""
    who = result["process"]
    lines = [f"process {who['pid']}, system {plain(who['system'])}, {plain(who['program'])}"]
    lines += ["", *_loop_lines(result["loop"])]
    if "actors" not in result:
        return "\n".join(lines)
    lines.append(f"{result['actors']:,} actors, {result['calls']:,} calls, {result['dead_letters']:,} dead letters")
    for title, rows in (
        ("The fullest mailboxes", map(_mailbox_line, result["mailboxes"])),
        ("The longest at one message", (f"{plain(a['path'])}: {seconds(a['seconds'])}" for a in result["busy"])),
        ("The oldest calls", map(_call_line, result["oldest_calls"])),
        ("Rate limits at their edge", map(_limit_line, result["limits"])),
        ("Budgets at their edge", map(_budget_line, result["budgets"])),
        ("The most restarts", map(_restart_line, result["restarted"])),
    ):
        found = list(rows)
        if found:
            lines += ["", title, *(f"  {row}" for row in found)]
    return "\n".join(lines)


def _holders(places: "list[Place]") -> dict[str, Any]:
    """Return what the looks at a loop have seen: how much of the time it was held, and where."""
    held: Counter[tuple[str | None, str]] = Counter()
    for place in places:
        if not place.is_idle:
            frame = place.frames[-1]
            held[place.actor, f"{frame.file}:{frame.line} in {frame.function}"] += 1
    looks = len(places)
    return {
        "looks": looks,
        "busy": round(held.total() / looks, 3) if looks else None,
        "holders": [
            {"actor": actor, "where": where, "share": round(count / looks, 3)}
            for (actor, where), count in held.most_common(_SHOWN)
        ],
    }


def _loop_lines(loop: Any) -> list[str]:
    lines = []
    if loop["answered_after"] is None:
        lines.append(f"The event loop does not answer: {plain(loop['error'])}")
    else:
        lines.append(f"The event loop answered after {loop['answered_after'] * 1000:,.1f} ms.")
    if not loop["looks"]:
        lines.append(
            "Where it is cannot be seen: a process shows that with MINIAGENTS_CONTROL=1; a journal alone is not enough."
        )
    else:
        lines.append(f"It was busy in {loop['busy']:.0%} of {loop['looks']:,} looks.")
    for holder in loop["holders"]:
        lines.append(f"  {holder['share']:.0%}  {plain(holder['actor'])}  {plain(holder['where'])}")
    return lines


def _mailbox_line(box: Any) -> str:
    types = ", ".join(f"{number:,} {plain(kind)}" for kind, number in box["types"].items())
    age = seconds(box["oldest_age"]) if box["oldest_age"] is not None else "-"
    return f"{plain(box['path'])}: {box['depth']:,}, the oldest for {age} ({types})"


def _call_line(call: Any) -> str:
    return f"{call['id']} {plain(call['agent'])}: {call['state']} for {seconds(call['age'])}, {plain(call['where'])}"


def _limit_line(limit: Any) -> str:
    most = "" if limit["concurrent"] is None else f" of {limit['concurrent']:,}"
    waiters = ", ".join(f"{plain(path)} {number:,}" for path, number in limit["waiters"].items())
    text = f"limit {limit['id']}: {limit['in_flight']:,}{most} under way, {limit['waiting']:,} waiting"
    return f"{text}, {limit['share']:.0%} of its rate" + (f" ({waiters})" if waiters else "")


def _budget_line(budget: Any) -> str:
    parts = []
    if budget["tokens"] is not None:
        parts.append(f"{budget['spent_tokens']:,} of {budget['tokens']:,} tokens")
    if budget["usd"] is not None:
        spent = "unknown" if budget["spent_usd"] is None else f"{budget['spent_usd']:.2f}"
        parts.append(f"{spent} of {budget['usd']:.2f} USD")
    return f"budget {budget['id']}: {', '.join(parts)}"


def _restart_line(actor: Any) -> str:
    return f"{plain(actor['path'])}: {actor['restarts']:,}, {plain(actor['last_error'])}"
