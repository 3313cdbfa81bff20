"""`diagnose`: what is wrong with a system that is slow, with the evidence.

The parts of the tree are looked at one after the other, so that no look takes longer than a page of it.
"""

import asyncio
import heapq
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

_SHOWN = 5
"""The number of actors, calls or limits of each kind."""

_EDGE = 0.9
"""The share of a limit or budget from which on it is at its edge."""

_NOT_THE_USERS = (f"{Path(__file__).parents[2]}{os.sep}", f"{Path(asyncio.__file__).parent}{os.sep}")


async def diagnose(system: Any, calls: Sequence[Any], shown: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Look at a system.

    Args:
        system: The system.
        calls: Its calls that are under way, the oldest first.
        shown: Returns what is shown of a call.

    Returns:
        In the types of JSON: `actors` and `calls` (their numbers), `mailboxes` (the fullest), `busy` (the actors that
        are at one message for the longest), `oldest_calls` (with the place where each waits), `limits` and `budgets`
        (those at their edge), and `restarted` (the actors with the most restarts).
    """
    actors = [info async for info in _all_actors(system)]
    fullest = heapq.nlargest(_SHOWN, actors, key=lambda info: info.mailbox_depth)
    busiest = heapq.nlargest(_SHOWN, actors, key=lambda info: info.message_age or 0.0)
    restarted = heapq.nlargest(_SHOWN, actors, key=lambda info: info.restarts)
    return {
        "actors": len(actors),
        "calls": len(calls),
        "mailboxes": [_mailbox(system, info) for info in fullest if info.mailbox_depth],
        "busy": [{"path": info.path, "seconds": info.message_age} for info in busiest if info.message_age],
        "oldest_calls": [shown(call) | {"where": _where(call)} for call in calls[:_SHOWN]],
        "limits": _at_edge(getattr(system, "limits", tuple), _limit),
        "budgets": _at_edge(getattr(system, "budgets", tuple), _budget),
        "restarted": [
            {"path": info.path, "restarts": info.restarts, "last_error": info.last_error}
            for info in restarted
            if info.restarts
        ],
        "dead_letters": system.dead_letters.total,
    }


async def _all_actors(system: Any) -> Any:
    cursor = ""
    while cursor is not None:
        page = system.tree(cursor=cursor)
        for info in page.nodes:
            yield info
        cursor = page.cursor
        await asyncio.sleep(0)  # whatever is ready comes in between


def _mailbox(system: Any, info: Any) -> dict[str, Any]:
    try:
        types = system.backlog(info.path).types
    except LookupError:  # it has ended meanwhile
        types = {}
    return {"path": info.path, "depth": info.mailbox_depth, "oldest_age": info.oldest_age, "types": types}


def _where(call: Any) -> str | None:
    """Return the innermost line of the user's code in the stack of a call, or its innermost line; None without any."""
    lines: list[str] = call.stack.splitlines()
    own = [line for line in lines if not line.startswith(_NOT_THE_USERS)]
    return (own or lines)[-1] if lines else None


def _at_edge(infos: Callable[[], Iterable[Any]], shown: Callable[[Any], dict[str, Any] | None]) -> list[dict[str, Any]]:
    edges = [edge for edge in map(shown, infos()) if edge is not None]
    return edges[:_SHOWN]


def _limit(info: Any) -> dict[str, Any] | None:
    is_full = info.concurrent is not None and info.in_flight >= info.concurrent
    if not (info.waiting or info.share < _EDGE or is_full):
        return None
    return {
        "id": info.id,
        "caller": info.caller,
        "waiting": info.waiting,
        "in_flight": info.in_flight,
        "concurrent": info.concurrent,
        "share": info.share,
        "waiters": dict(list(info.waiters.items())[:_SHOWN]),
    }


def _budget(info: Any) -> dict[str, Any] | None:
    shares = [
        spent / most
        for spent, most in ((info.spent_tokens, info.tokens), (info.spent_usd, info.usd))
        if most and spent is not None
    ]
    if not shares or max(shares) < _EDGE:
        return None
    return {
        "id": info.id,
        "caller": info.caller,
        "spent_tokens": info.spent_tokens,
        "tokens": info.tokens,
        "spent_usd": info.spent_usd,
        "usd": info.usd,
    }
