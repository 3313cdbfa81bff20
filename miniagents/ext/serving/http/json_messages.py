"""Messages of requests as plain JSON, and the usage of their answers."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from miniagents.errors import UnencodableError
from miniagents.ext.llms.metering import Meter
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem
from miniagents.messages import (
    AssistantMessage,
    DataMessage,
    Message,
    SystemMessage,
    TextMessage,
    UserMessage,
)

_KINDS: dict[str | None, type[TextMessage]] = {
    None: TextMessage,
    "user": UserMessage,
    "system": SystemMessage,
    "assistant": AssistantMessage,
}


class MessageIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message to an agent: text with a role, or data.

    Attributes:
        content: The text.
        role: The role of the speaker, or null.
        data: Data, in place of a text.
    """

    content: str | UnsetType = UNSET
    role: Literal["user", "system", "assistant"] | None = None
    data: dict[str, Any] | UnsetType = UNSET

    def message(self, param: str) -> Message:
        """Return the message.

        Args:
            param: The field of the request, for errors.

        Raises:
            Problem: 422: the message has neither content nor data, or both, or data that no message can hold.
        """
        if isinstance(self.data, dict) and self.content is UNSET and self.role is None:
            try:
                return DataMessage(self.data)
            except UnencodableError as error:
                raise Problem(422, f"{error} ({param}.data)", param=f"{param}.data", code="invalid") from None
        if isinstance(self.content, str) and self.data is UNSET:
            return _KINDS[self.role](self.content)
        raise Problem(422, f"A message must have content, with or without a role, or data ({param})", param=param)


class UsageOut(msgspec.Struct, frozen=True):
    """The usage of all models below a call.

    Attributes:
        input_tokens: Tokens read.
        output_tokens: Tokens written.
        cached_tokens: The input tokens that came from a cache.
        cost: The cost in USD; null if it is not known, since a model without a price has been used.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: float | None

    @classmethod
    def of(cls, meter: Meter) -> "UsageOut":
        """Return the usage that a meter shows."""
        cost = round(meter.cost, 9) if meter.cost is not None else None
        return cls(meter.input_tokens, meter.output_tokens, meter.cached_tokens, cost)


def messages_in(entries: str | list[str | MessageIn], limits: Limits) -> tuple[Message, ...]:
    """Return the messages of a request.

    Args:
        entries: A text, or texts and messages.
        limits: The limit of messages.

    Raises:
        Problem: 400: there are too many; 422: a message is wrong.
    """
    if isinstance(entries, str):
        return (UserMessage(entries),)
    check_count(len(entries), limits)
    return tuple(
        UserMessage(entry) if isinstance(entry, str) else entry.message(f"messages[{number}]")
        for number, entry in enumerate(entries)
    )


def check_count(count: int, limits: Limits, param: str = "messages") -> None:
    """Check the number of messages.

    Raises:
        Problem: 400: there are too many.
    """
    if count > limits.messages:
        raise Problem(
            400, f"There are more than {limits.messages} messages ({param})", param=param, code="too_many_messages"
        )
