"""`NativeMessage`: a part of a conversation that only one provider's API has."""

from collections.abc import Mapping
from typing import Any

from miniagents.messages import Message


class NativeMessage(Message):
    """A part of a conversation that has one provider's form alone: the call of a hosted tool, its result, what a model
    thought, a search result.

    Models of that API get the item as it is. Models of other APIs get its parts. If it has none, an agent that talks to
    another API fails with `UnsupportedContentError`. OpenAI's items are those of its Responses API. Chat completions
    take only custom tool calls and their results.

    Attributes:
        api: The API that has this form: "anthropic" or "openai".
        item: The part in the form of the API, with its `type`; deeply frozen.
        parts: The same in messages that all models understand; () if there is no such form.
        role: The role of the speaker.

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
        """The type of the item in the words of the API: `web_search_call`, `reasoning`, `search_result`, ..."""
        return str(self.item.get("type"))

    @property
    def is_aside(self) -> bool:  # type: ignore[override]  # of other classes it is known beforehand
        """True if the item has no parts, and so nothing that models of other APIs understand."""
        return not self.parts

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.parts)) if self.parts else f"[{self.kind}]"
