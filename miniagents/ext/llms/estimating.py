"""Estimates of the tokens that a request uses, where the provider does not say."""

import re
from collections.abc import Iterable

from miniagents.ext.llms.messages import FileMessage, ImageMessage, ToolResultMessage, Usage, text_of
from miniagents.ext.llms.provider import Answer, ModelRequest
from miniagents.messages import Message

DEFAULT_OUTPUT = 1024
"""The output tokens that are reserved for a request without `max_tokens`."""
LETTERS_PER_TOKEN = 4
"""The letters of a token, by which texts are estimated."""
_MAX_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


_PER_IMAGE = 1600
"""The most tokens of an image with Anthropic, which scales larger images down."""
_PER_PAGE = 2000
"""Tokens of a page of a PDF: Anthropic says 1,500 to 3,000."""
_PAGE = re.compile(rb"/Type\s*/Page\b")


def estimate(messages: Iterable[Message]) -> int:
    """Estimate the tokens of a conversation: one for four letters, some for each message, and those of images and
    files."""
    messages = tuple(messages)
    return estimate_text(len(text_of(messages))) + 4 * len(messages) + sum(map(_shown, messages))


def estimate_text(letters: int) -> int:
    """Estimate the tokens of a text by its number of letters."""
    return letters // LETTERS_PER_TOKEN


def _shown(message: Message) -> int:
    """Estimate the tokens of a message beyond its text: of images and files."""
    if isinstance(message, ImageMessage):
        return _PER_IMAGE
    if isinstance(message, FileMessage):
        text = message.text
        if text is not None:
            return estimate_text(len(text))
        return _PER_PAGE * max(len(_PAGE.findall(message.data or b"")), 1)
    return sum(map(_shown, message.parts)) if isinstance(message, ToolResultMessage) else 0


def most_output(request: ModelRequest) -> int:
    """Return the most output tokens that a request may use."""
    most = given_most_output(request)
    return DEFAULT_OUTPUT if most is None else most


def given_most_output(request: ModelRequest) -> int | None:
    """Return the most output tokens that a request asks for; None if it names no number."""
    return next((value for name in _MAX_TOKENS if isinstance(value := request.options.get(name), int)), None)


def usage_of(answer: Answer, messages: tuple[Message, ...], *, is_whole: bool) -> Usage | None:
    """Return the usage of a request: the provider's numbers, and estimates of those that it does not send.

    Args:
        answer: The answer, as far as it has arrived.
        messages: The conversation.
        is_whole: Whether the answer is whole; numbers in the middle of an answer are not final.

    Returns:
        The usage; None if nothing has arrived.
    """
    usage = answer.usage
    if is_whole and usage is not None and usage.input_tokens and usage.output_tokens:
        return usage
    written = _written(answer)
    if usage is None:
        return Usage(estimate(messages), written, estimated=True) if written or is_whole else None
    if is_whole and usage.input_tokens and not written:
        return usage
    output = usage.output_tokens if is_whole and usage.output_tokens else max(usage.output_tokens, written)
    return Usage(usage.input_tokens or estimate(messages), output, usage.cached_tokens, estimated=True)


def _written(answer: Answer) -> int:
    letters = sum(map(len, answer.tokens))
    calls = sum(len(call.name) + len(call.arguments) for call in answer.tool_calls)
    # Most providers stream token by token: the number of pieces is the better estimate if it is larger.
    pieces = max(letters // LETTERS_PER_TOKEN, sum(map(bool, answer.tokens)))
    return pieces + max(answer.silent_tokens, calls // LETTERS_PER_TOKEN)
