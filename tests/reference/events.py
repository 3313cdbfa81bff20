"""The table of docs/reference/events.md that says what `system.events` tells, from the docstrings of `EventKind`."""

import ast
import inspect
from itertools import pairwise

from miniagents import EventKind
from miniagents.ext.telemetry.logs import _SAID
from tests.reference.markdown import cell


def table() -> str:
    """Return the table of the kinds of events."""
    lines = ["| kind | what happened | log event of `log_events` |", "|---|---|---|"]
    for kind in EventKind:
        level, event = _SAID.get(kind, ("", ""))
        lines.append(
            f"| `{kind.name}` | {cell(descriptions()[kind.name])} | {f'`{event}` ({level})' if event else ''} |"
        )
    return "\n".join([*lines, ""])


def descriptions() -> dict[str, str]:
    """Return the docstring of each kind, by its name."""
    (kinds,) = [node for node in ast.parse(inspect.getsource(EventKind)).body if isinstance(node, ast.ClassDef)]
    texts = {}
    for statement, follower in pairwise(kinds.body):
        match statement, follower:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = text
    return texts
