"""Threads of Anthropic's API: requests with only the new messages, for a service that stores the messages before.

The service refuses them in a form after which the tool loops of the SDKs send the whole conversation. If the service
ignored the field, the agent would silently miss the messages before.
"""

from msgspec import UNSET, UnsetType

from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.wire.anthropic import ErrorDetails

_CODE = "thread_unsupported_request"


def check_thread(thread: object) -> None:
    """Refuse a request with a thread.

    Args:
        thread: The field of the request; None if the request has none.

    Raises:
        Problem: 400: the request has a thread.
    """
    if thread is not None:
        text = "This service has no threads: send the whole conversation, or name a conversation (thread)"
        raise Problem(400, text, param="thread", code=_CODE)


def details_of(problem: Problem) -> ErrorDetails | UnsetType:
    """Return the details of a problem for clients of Anthropic's API."""
    return ErrorDetails(_CODE, ("thread",)) if problem.code == _CODE else UNSET
