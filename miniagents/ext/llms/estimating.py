"""Estimates: what a call uses, where the provider does not say."""

import re
from collections.abc import Iterable

from miniagents.ext.llms.messages import FileMessage, ImageMessage, ToolResultMessage, Usage, text_of
from miniagents.ext.llms.provider import Answer, ModelRequest
from miniagents.messages import Message

DEFAULT_OUTPUT = 1024
"""Tokens that a call is assumed to write where it has no `max_tokens`: for reservations."""
_LETTERS_PER_TOKEN = 4
_MAX_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


_PER_IMAGE = 1600
"""Tokens that an image has at most with Anthropic, which scales larger ones down."""
_PER_PAGE = 2000
"""Tokens of a page of a PDF: Anthropic says 1,500 to 3,000."""
_PAGE = re.compile(rb"/Type\s*/Page\b")


def estimate(messages: Iterable[Message]) -> int:
    """How many tokens a conversation has, roughly: one for four letters, some for each message, and what images and
    files are known to take."""
    messages = tuple(messages)
    return estimate_text(len(text_of(messages))) + 4 * len(messages) + sum(map(_shown, messages))


def estimate_text(letters: int) -> int:
    """How many tokens a text of so many letters has, roughly."""
    return letters // _LETTERS_PER_TOKEN


def _shown(message: Message) -> int:
    """Tokens of what has more than its text."""
    if isinstance(message, ImageMessage):
        return _PER_IMAGE
    if isinstance(message, FileMessage):
        text = message.text
        if text is not None:
            return estimate_text(len(text))
        return _PER_PAGE * max(len(_PAGE.findall(message.data or b"")), 1)
    return sum(map(_shown, message.parts)) if isinstance(message, ToolResultMessage) else 0


def most_output(request: ModelRequest) -> int:
    """How many tokens a request may write."""
    for name in _MAX_TOKENS:
        value = request.options.get(name)
        if isinstance(value, int):
            return value
    return DEFAULT_OUTPUT


def usage_of(answer: Answer, messages: tuple[Message, ...], *, is_whole: bool) -> Usage | None:
    """What a call used: what the provider says, and an estimate of what it leaves out.

    Args:
        answer: The answer, as far as it came.
        messages: The conversation.
        is_whole: Whether all of it came; what a provider said in the middle is not all.

    Returns:
        The usage; None if nothing came at all.
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
    # Most providers stream token by token, so that the number of pieces is the better estimate where it is larger.
    pieces = max(letters // _LETTERS_PER_TOKEN, sum(map(bool, answer.tokens)))
    return pieces + max(answer.silent_tokens, calls // _LETTERS_PER_TOKEN)
