"""`SummaryMessage`: the summary that stands for the older part of a conversation, and the choice of that part."""

from collections.abc import Sequence

from miniagents.ext.llms.messages import ReplyMessage, ToolResultMessage
from miniagents.ext.llms.native import NativeMessage
from miniagents.messages import Message, SystemMessage, UserMessage
from miniagents.messages.standard import TextMessage

INSTRUCTIONS = """\
You write the summary that replaces the older part of a conversation between a user and an assistant. The assistant \
goes on with your summary and the newest messages alone. Answer with nothing but the summary. It has these parts:
1. The requests of the user, word for word where they are short, with all conditions.
2. Facts, names, numbers, paths and ids that are needed later.
3. Decisions, and their reasons.
4. What was tried, and what came of it. What has failed, and why, so that nobody tries it again.
5. What is done, and what is left to do.
Leave out politeness, and do not continue the conversation."""
"""The default prompt of the agent that writes summaries."""

_MOST_FAILURES = 20
_LETTERS_OF_A_FAILURE = 300


class SummaryMessage(TextMessage):
    """The summary of the older part of a conversation.

    Attributes:
        content: The summary, as the model reads it.
        original_messages: The messages that it stands for, unchanged and in order.

    Example:
        >>> from miniagents import UserMessage
        >>> summary = SummaryMessage("The user is Ann.", original_messages=(UserMessage("I am Ann."),))
        >>> print(summary, summary.original_messages[0])
        The user is Ann. I am Ann.
    """

    role: str | None = "user"
    original_messages: tuple[Message, ...] = ()


def split(messages: Sequence[Message], keep_last: int) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Split a conversation without system prompts into its older part and the messages that are kept.

    Between a message of the assistant and what belongs to it (the results of its calls, its reasoning) there is no cut.

    Args:
        messages: The conversation.
        keep_last: The number of messages to keep, 1 or more; more are kept where a cut is not allowed.
    """
    at = max(len(messages) - keep_last, 0)
    while at > 0 and not _may_cut_before(messages, at):
        at -= 1
    return tuple(messages[:at]), tuple(messages[at:])


def _may_cut_before(messages: Sequence[Message], at: int) -> bool:
    message, before = messages[at], messages[at - 1]
    if isinstance(message, ToolResultMessage):
        return False
    if isinstance(before, NativeMessage) and isinstance(message, NativeMessage):
        return False
    return getattr(message, "role", None) in ("user", None) or getattr(before, "role", None) != "assistant"


def originals(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return messages with the original ones in the place of each summary."""
    return tuple(
        original
        for message in messages
        for original in (message.original_messages if isinstance(message, SummaryMessage) else (message,))
    )


def prompt(older: Sequence[Message], instructions: str, most_letters: int) -> tuple[Message, ...]:
    """Return the request for a summary: the conversation is told as text, and no provider takes it for calls of tools.

    Args:
        older: The messages to be summarized.
        instructions: The system prompt.
        most_letters: The most letters of the text; the longest messages lose their middle.
    """
    lines = [_told(message) for message in older]
    longest = max(most_letters // max(len(lines), 1), 200)
    if sum(map(len, lines)) > most_letters:
        lines = [_shortened(line, longest) for line in lines]
    text = "\n\n".join(lines)
    return SystemMessage(instructions), UserMessage(f"<conversation>\n{text}\n</conversation>\n\nWrite the summary.")


def _told(message: Message) -> str:
    if isinstance(message, ToolResultMessage):
        return f"[result of {message.name}{', failed' if message.is_error else ''}] {message}"
    if isinstance(message, ReplyMessage) and message.tool_calls:
        calls = "\n".join(f"[call of {call.name}] {call.arguments}" for call in message.tool_calls)
        return f"[assistant] {message.content}\n{calls}" if message.content else calls
    return f"[{getattr(message, 'role', None) or 'user'}] {message}"


def _shortened(text: str, letters: int) -> str:
    half = letters // 2
    return text if len(text) <= letters else f"{text[:half]}\n[... {len(text) - 2 * half} letters ...]\n{text[-half:]}"


def summary_of(older: Sequence[Message], text: str) -> SummaryMessage:
    """Return the message that stands for the older part of a conversation.

    The tool calls that have failed are listed below the text, whatever it says of them.

    Args:
        older: The older part, with an earlier summary in it or without.
        text: The summary.
    """
    replaced = originals(older)
    arguments = {
        call.id: call.arguments
        for message in replaced
        if isinstance(message, ReplyMessage)
        for call in message.tool_calls
    }
    failures = [
        _shortened(f"{result.name}({arguments.get(result.call_id, '')}): {result}", _LETTERS_OF_A_FAILURE)
        for result in replaced
        if isinstance(result, ToolResultMessage) and result.is_error
    ]
    content = f"Summary of the conversation before this ({len(replaced)} messages):\n\n{text.strip()}"
    if failures:
        content += "\n\nTool calls that failed:\n" + "\n".join(f"- {line}" for line in failures[-_MOST_FAILURES:])
    return SummaryMessage(content, original_messages=replaced)
