"""Threads of Anthropic's API: requests that bring what is new alone, and count on the service for what was said before.

They are refused, in the form that makes the SDKs' own loops of tools send the whole conversation instead. Ignoring them
would leave the agent without what was said before, and nobody would be told.
"""

from msgspec import UNSET, UnsetType

from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.wire.anthropic import ErrorDetails

_CODE = "thread_unsupported_request"


def check_thread(thread: object) -> None:
    """Refuse a request that has a thread.

    Args:
        thread: The field of the request; None where it has none.

    Raises:
        Problem: 400: it has one.
    """
    if thread is not None:
        text = "There are no threads here: send the whole conversation, or name a conversation (thread)"
        raise Problem(400, text, param="thread", code=_CODE)


def details_of(problem: Problem) -> ErrorDetails | UnsetType:
    """What Anthropic's clients read of a problem, beside its text."""
    return ErrorDetails(_CODE, ("thread",)) if problem.code == _CODE else UNSET
