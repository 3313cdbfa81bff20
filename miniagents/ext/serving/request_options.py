"""The options of an API request that an agent takes as arguments."""

from typing import Any

import msgspec

from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.served_agent import Entry


def fields_in(body: bytes, names: frozenset[str]) -> dict[str, Any]:
    """Return the fields of a body that agents may take as arguments.

    Args:
        body: The body, a JSON object.
        names: The names of the arguments of all agents.
    """
    if not names:
        return {}
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return {name: msgspec.json.decode(fields[name]) for name in names if name in fields}


def options_for(entry: Entry, parsed: Parsed) -> dict[str, object]:
    """Return the arguments of a call: the options of a request that the agent takes.

    Args:
        entry: The agent.
        parsed: The request.

    Raises:
        Problem: 400: an option has a wrong value.
    """
    if not entry.argument_names:
        return {}
    options = {name: parsed.fields[name] for name in entry.argument_names if name in parsed.fields}
    try:
        return entry.call_arguments(options)
    except Problem as problem:
        param = (problem.param or "").removeprefix("arguments.") or None
        raise Problem(400, problem.message, param=param, code=problem.code) from None
