"""The kinds of messages that everybody needs, and the tokens that they stream."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from miniagents.errors import NotSendableError
from miniagents.messages.frozen import FrozenDict
from miniagents.messages.message import Message, to_json

if TYPE_CHECKING:
    from miniagents.messages.promises import MessagePromise


class Token(msgspec.Struct, frozen=True, gc=False):
    """A piece of a message that streams. `str(token)` is its text; one without text carries something else."""

    def __str__(self) -> str:
        return ""


class TextToken(Token, frozen=True, gc=False):
    """A piece of text."""

    content: str = ""

    def __str__(self) -> str:
        return self.content


class TextMessage(Message):
    """Text, and who says it.

    Attributes:
        content: The text.
        role: "user", "system", "assistant", or None where it does not matter.
    """

    content: str = ""
    role: str | None = None

    @classmethod
    def tokens_to_message(cls, tokens: Iterable[Any], **values: Any) -> Message:
        """The text of the tokens, joined."""
        from miniagents.messages.promises import text_of_tokens

        return text_of_tokens(cls, tokens, values)

    @classmethod
    def promise(
        cls,
        content: str | None = None,
        *,
        message_token_streamer: Any = None,
        start_soon: bool = True,
        **known_beforehand: Any,
    ) -> "MessagePromise":
        """A promise of such a message, of its content or of what streams it; see `Message.promise`.

        Raises:
            NotSendableError: `content` is no str.
        """
        if content is not None:
            if message_token_streamer is not None:
                raise ValueError("give the content, or a message_token_streamer= that streams it, not both")
            if not isinstance(content, str):
                streams = callable(content) or hasattr(content, "__aiter__")
                instead = "; write message_token_streamer=, with a function that streams it" if streams else ""
                raise NotSendableError(
                    f"{cls.__name__}: its content is a str, not {type(content).__name__} ({content!r}){instead}"
                )
            known_beforehand["content"] = content
        return super().promise(message_token_streamer=message_token_streamer, start_soon=start_soon, **known_beforehand)

    def __str__(self) -> str:
        return self.content or ""


class UserMessage(TextMessage):
    """What a user says."""

    role: str | None = "user"


class SystemMessage(TextMessage):
    """What a model is told beforehand."""

    role: str | None = "system"


class AssistantMessage(TextMessage):
    """What a model says."""

    role: str | None = "assistant"


class DataMessage(Message):
    """Free-form data: what a dict that is sent becomes. `message["key"]` reads it.

    Attributes:
        data: The data.
    """

    data: FrozenDict[Any, Any] = FrozenDict()

    def __getitem__(self, key: Any) -> Any:
        return self.data[key]

    def __str__(self) -> str:
        return to_json(self.data)


class ErrorMessage(TextMessage):
    """An exception that arrives as a message.

    Attributes:
        content: The name of its class and its text: `ValueError: what it said`.
        agent_trace: The agents that it came through, the one that raised it first.
    """

    agent_trace: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException, **fields: Any) -> "ErrorMessage":
        """The message that stands for an exception."""
        return cls(error_text(error), **fields)


def error_text(error: BaseException) -> str:
    """`ValueError: what it said`."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
