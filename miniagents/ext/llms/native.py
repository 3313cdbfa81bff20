"""`NativeMessage`: a part of a conversation that only one provider's API has."""

from collections.abc import Mapping
from typing import Any

from miniagents.messages import Message


class NativeMessage(Message):
    """A part of a conversation that has one provider's form alone: the call of a hosted tool, its result, what a model
    thought, a search result.

    It goes on as it is to models of that API. Models of others get its parts; where it has none, they are not asked.
    OpenAI's items are those of its Responses API; chat completions take only custom tool calls and their results.

    Attributes:
        api: Whose form it is: "anthropic" or "openai".
        item: The part, as that API has it, with its `type`.
        parts: What it says, in messages that all understand; () where only that API does.
        role: Who says it.

    Example:
        >>> from miniagents.messages import TextMessage
        >>> item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
        >>> search = NativeMessage(api="openai", item=item, parts=(TextMessage("It is sunny."),), role="assistant")
        >>> print(search.kind, search)
        web_search_call It is sunny.
    """

    api: str
    item: Mapping[str, Any]
    parts: tuple[Message, ...] = ()
    role: str | None = "user"

    @property
    def kind(self) -> str:
        """What it is, in that API's word: `web_search_call`, `reasoning`, `search_result`, ..."""
        return str(self.item.get("type"))

    @property
    def is_aside(self) -> bool:  # type: ignore[override]  # of other classes it is known beforehand
        """Whether it says nothing that is for everybody."""
        return not self.parts

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.parts)) if self.parts else f"[{self.kind}]"
