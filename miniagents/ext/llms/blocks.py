"""`Blocks`: a reply in its provider's own form, which goes back to the same provider unchanged.

Reasoning is signed or encrypted, and the results of hosted tools are, too: a provider refuses a changed block. A reply
that has more than text and calls of own tools keeps the provider's blocks, in their order, in its metadata. The text,
the tool calls and the parts of the reply are views of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from miniagents.ext.llms.parts import HostedToolResult
from miniagents.ext.llms.providers import anthropic_parts, chat_parts, openai_parts
from miniagents.messages import Message

KEY = "blocks"
"""The name of the blocks in the metadata of a reply."""

_PARTS = {
    anthropic_parts.API: anthropic_parts.parts_of,
    openai_parts.API: openai_parts.parts_of,
    chat_parts.API: chat_parts.parts_of,
}
_ONE_FAMILY = {"anthropic": ("anthropic.com", "amazonaws.com", "googleapis.com")}
"""The hosts that sell the same models: signatures of one are valid at the others."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of a reply.

    Attributes:
        api: "anthropic", "openai" (the Responses API) or "chat" (chat completions).
        provider: The host that answered, or the family of hosts; "" if it is not known.
        model: The model that was asked; "" if it is not known.
    """

    api: str
    provider: str = ""
    model: str = ""

    def takes(self, blocks: "Blocks") -> bool:
        """Return whether this provider and model take the blocks of a reply unchanged.

        OpenAI's reasoning goes back to the model that wrote it alone: other models may be none that reason, and these
        refuse it. What is not known on one side fits all.
        """
        other = blocks.origin
        pairs = [(self.provider, other.provider)]
        if self.api == openai_parts.API:
            pairs.append((self.model, other.model))
        return self.api == other.api and all(a == b or not (a and b) for a, b in pairs)


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of a reply.

    Attributes:
        origin: The provider and the model that wrote them.
        items: The blocks in the form of the API, in their order.
    """

    origin: Origin
    items: Sequence[Mapping[str, Any]]

    @property
    def parts(self) -> tuple[Message, ...]:
        """The reasoning, the hosted tools and the citations as messages, in order."""
        return _PARTS[self.origin.api](self.items)

    def as_metadata(self) -> dict[str, Any]:
        """Return the blocks as plain data for the metadata of a reply."""
        origin = self.origin
        return {"api": origin.api, "provider": origin.provider, "model": origin.model, "items": self.items}


def blocks_in(metadata: Mapping[str, Any]) -> Blocks | None:
    """Return the blocks in the metadata of a reply, or None."""
    stored = metadata.get(KEY)
    if stored is None:
        return None
    return Blocks(Origin(stored["api"], stored.get("provider", ""), stored.get("model", "")), stored["items"])


def told(parts: Iterable[Message]) -> str:
    """Return the results of hosted tools as text, for the models of other providers."""
    return "\n\n".join(
        f"[{part.name or 'result'}]\n{part.content}"
        for part in parts
        if isinstance(part, HostedToolResult) and part.content.strip()
    )


@lru_cache(maxsize=256)
def origin_of(api: str, provider: str, model: str) -> Origin:
    """Return an origin; requests to the same model share it."""
    return Origin(api, provider, model)


@lru_cache(maxsize=256)
def provider_at(address: str, api: str) -> str:
    """Return the host of an address, or the family of hosts that it belongs to."""
    host = urlsplit(address).hostname or ""
    if any(host == ending or host.endswith(f".{ending}") for ending in _ONE_FAMILY.get(api, ())):
        return api
    return host
