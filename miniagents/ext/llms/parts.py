"""The parts of a reply that are neither text nor calls of own tools: reasoning, hosted tools, citations."""

from collections.abc import Mapping
from typing import Any

import msgspec

from miniagents.ext.llms.native import NativeMessage
from miniagents.messages import Message, Token, register_value_type
from miniagents.messages.tokens import ReasoningToken as ReasoningToken  # others import it from here


class ReasoningMessage(NativeMessage):
    """The reasoning of a model before, or between, the parts of its answer.

    Only models of the same API read reasoning. A conversation with a model of another API is sent without it.

    Attributes:
        content: The text: the reasoning itself, or the provider's summary of it. "" if the provider hides it.
        api: The API that has this form: "anthropic", "openai" (the Responses API) or "chat" (chat completions).
        item: The provider's own block, with its signature or its encrypted content.

    Example:
        >>> block = {"type": "thinking", "thinking": "It is July.", "signature": "c2lnbmVk"}
        >>> reasoning = ReasoningMessage(content="It is July.", api="anthropic", item=block)
        >>> print(reasoning, reasoning.is_hidden)
        It is July. False
    """

    role: str | None = "assistant"
    content: str = ""

    @property
    def is_hidden(self) -> bool:
        """True if the provider sends the reasoning in encrypted form alone."""
        return not self.content

    def message_to_tokens(self) -> tuple[Token, ...]:
        """Return the text as one token, which readers of texts do not see, and then the whole block."""
        text = (ReasoningToken(self.content),) if self.content else ()
        return (*text, PartToken(self))

    def __str__(self) -> str:
        return self.content


class HostedToolCall(NativeMessage):
    """A call of a tool that the provider runs: web search, code execution, file search, a server of MCP.

    Attributes:
        id: The provider's id of the call.
        name: The name of the tool.
        arguments: The arguments, as JSON text.
        api: The API that has this form: "anthropic" or "openai".
        item: The provider's own block.

    Example:
        >>> block = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "Louvre"}}
        >>> call = HostedToolCall(
        ...     api="anthropic", item=block, id="srv_1", name="web_search", arguments='{"query":"Louvre"}'
        ... )
        >>> print(call)
        web_search({"query":"Louvre"})
    """

    role: str | None = "assistant"
    id: str = ""
    name: str = ""
    arguments: str = "{}"

    def __str__(self) -> str:
        return f"{self.name}({self.arguments})"


class HostedToolResult(NativeMessage):
    """The result of a tool that the provider runs.

    Attributes:
        content: The part of the result that is text; "" if the provider encrypts it. Models of other APIs get it.
        call_id: The id of the call.
        name: The name of the tool.
        is_error: Whether the tool has failed.
        api: The API that has this form: "anthropic" or "openai".
        item: The provider's own block.

    Example:
        >>> block = {"type": "mcp_tool_result", "tool_use_id": "mcp_1", "content": "42", "is_error": False}
        >>> print(HostedToolResult(api="anthropic", item=block, call_id="mcp_1", name="answer", content="42"))
        42
    """

    role: str | None = "assistant"
    content: str = ""
    call_id: str = ""
    name: str = ""
    is_error: bool = False

    def __str__(self) -> str:
        return self.content


class Citation(NativeMessage):
    """The source of a part of a text.

    Attributes:
        title: The title of the source, or the name of the file.
        url: The address of the source, or None.
        quote: The text of the source that is cited; "" if the provider does not say.
        api: The API that has this form: "anthropic", "openai" or "chat".
        item: The provider's own form, with the place of the citation.

    Example:
        >>> source = {"type": "url_citation", "url": "https://louvre.fr", "title": "Louvre"}
        >>> print(Citation(api="openai", item=source, title="Louvre", url="https://louvre.fr"))
        [Louvre](https://louvre.fr)
    """

    role: str | None = "assistant"
    title: str = ""
    url: str | None = None
    quote: str = ""

    def __str__(self) -> str:
        title = self.title or self.quote or self.kind
        return f"[{title}]({self.url})" if self.url else f"[{title}]"


class PartToken(Token, frozen=True):
    """A part in the stream of a reply, at its place: a `HostedToolCall`, a `HostedToolResult`, a `Citation`, or a
    `ReasoningMessage` after its last `ReasoningToken`.

    It has no text for readers of the answer.

    Attributes:
        part: The part.

    Example:
        >>> source = {"type": "url_citation", "url": "https://louvre.fr"}
        >>> token = PartToken(Citation(api="openai", item=source, url="https://louvre.fr"))
        >>> token.part.url, str(token)
        ('https://louvre.fr', '')
    """

    part: Message


# They also stream between nodes.
register_value_type(ReasoningToken)
register_value_type(PartToken)


def tokens_of(part: Message) -> tuple[Token, ...]:
    """Return the tokens that a part is streamed as."""
    return part.message_to_tokens() if isinstance(part, ReasoningMessage) else (PartToken(part),)


def objects_in(value: object) -> list[Mapping[str, Any]]:
    """Return the objects in a list of a provider; [] for other data."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, (list, tuple)) else []


def first_text(*values: object) -> str:
    """Return the first of some values of a provider that is a text and not empty; "" without one."""
    return next((value for value in values if isinstance(value, str) and value), "")


def json_text(value: object) -> str:
    """Return data as JSON text."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
