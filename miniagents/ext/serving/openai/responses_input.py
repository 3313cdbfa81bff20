"""What comes in through OpenAI's Responses API: the request, with the options that a response repeats."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from miniagents.ext.serving.conversations.conversation_id import ConversationIn
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_body import convert
from miniagents.ext.serving.wants import Special

Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
"""What a client attaches to something: 16 pairs at most, as at OpenAI's."""


class ResponsesRequest(msgspec.Struct, frozen=True):
    """A request for a response. Other options go to agents that take them, and are ignored otherwise."""

    model: str
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: ConversationIn = None
    metadata: Metadata | None = None


class Prompt(msgspec.Struct, frozen=True):
    """A prompt template."""

    id: str
    version: str | None = None
    variables: dict[str, Any] | None = None


class Echoed(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a request that its response repeats, whether or not the agent takes them."""

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    max_tool_calls: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    parallel_tool_calls: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    prompt: Prompt | None = None


class AskedResponse(msgspec.Struct, frozen=True):
    """A request for a response, with what has been found in it.

    Attributes:
        request: The request, without its input.
        echoed: The options that the response repeats.
        has_input: Whether there is any input.
        specials: What not every agent takes.
    """

    request: ResponsesRequest
    echoed: Echoed = Echoed()
    has_input: bool = True
    specials: tuple[Special, ...] = ()


_ECHOED = msgspec.structs.fields(Echoed)


def echoed_in(body: bytes, own: frozenset[str]) -> Echoed:
    """The options that a response repeats.

    Args:
        body: The request.
        own: The arguments of agents. What is one of these may be anything; it is repeated where it fits.

    Raises:
        Problem: 400: another one is wrong.
    """
    given = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    found: dict[str, Any] = {}
    for field in _ECHOED:
        if field.name not in given:
            continue
        try:
            value = convert(msgspec.json.decode(given[field.name]), field.type, under=field.name, status=400)
            found[field.name] = _tools(value) if field.name == "tools" else value
        except Problem:
            if field.name not in own:
                raise
    return Echoed(**found)


def _tools(tools: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Tools as a response has them."""
    found = []
    for number, tool in enumerate(tools or ()):
        where = f"tools[{number}]"
        for name in ("type", "name") if tool.get("type") == "function" else ("type",):
            if not isinstance(tool.get(name), str):
                text = f"Missing required parameter: '{where}.{name}'."
                raise Problem(400, text, param=f"{where}.{name}", code="missing_required_parameter")
        nulls = {"description": None, "parameters": None, "strict": True} if tool["type"] == "function" else {}
        found.append({**nulls, **tool})
    return found
