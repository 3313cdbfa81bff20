"""Checks of whole answers."""

from collections.abc import Callable
from typing import TypeAlias

from miniagents.errors import IncompleteResponseError
from miniagents.ext.llms.endings import Ending, ending_of
from miniagents.ext.llms.messages import ToolResultMessage
from miniagents.ext.llms.provider import Answer, ModelRequest
from miniagents.ext.llms.providers.error_mapping import malformed
from miniagents.ext.llms.sound import sound

Check: TypeAlias = Callable[[str, ModelRequest, Answer], None]
"""A function of the provider's name, the request and the answer, which raises a `ProviderError` for a bad answer."""


def check_ending(name: str, request: ModelRequest, answer: Answer) -> None:
    """Check the end of an answer, its tool calls, and its content.

    Args:
        name: The name of the provider in errors.
        request: The request. After the results of tools, an empty answer is allowed.
        answer: The answer.

    Raises:
        IncompleteResponseError: The answer has not ended, or it is empty.
        MalformedResponseError: A tool call has no name.
    """
    check_has_ended(name, request, answer)
    reason, ending = answer.stop_reason, ending_of(answer.stop_reason)
    if reason == "refusal" and answer.refusal is None:
        answer.refusal = "".join(answer.tokens)
    elif answer.refusal is not None:
        answer.refusal = sound(answer.refusal)
    if ending not in (Ending.CALLS, Ending.WHOLE):
        answer.calls.drop_nameless()
    nameless = answer.calls.nameless if answer.calls else None
    if nameless is not None:
        raise malformed(name, f"the name of tool call {nameless} is missing")
    if answer.has_content:
        return
    if ending in (Ending.CALLS, Ending.WHOLE) and not _is_after_results(request):
        raise IncompleteResponseError(f"{name}: the answer is empty (it ended with {reason!r})")
    answer.extra["empty"] = True


def check_has_ended(name: str, request: ModelRequest, answer: Answer) -> None:
    """Check that an answer has ended, and nothing else.

    Raises:
        IncompleteResponseError: It has not.
    """
    if answer.stop_reason is None:
        raise IncompleteResponseError(f"{name}: the answer ended without a reason to stop: it is cut off")
    if ending_of(answer.stop_reason) is Ending.FAILED:
        raise IncompleteResponseError(f"{name}: the answer ended with {answer.stop_reason!r}")


def _is_after_results(request: ModelRequest) -> bool:
    return bool(request.messages) and isinstance(request.messages[-1], ToolResultMessage)
