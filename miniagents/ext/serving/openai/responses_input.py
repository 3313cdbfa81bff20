"""The requests to OpenAI's Responses API, with the options that a response repeats."""

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
"""The metadata that a client attaches: at most 16 pairs, as in OpenAI's API."""


class ResponsesRequest(msgspec.Struct, frozen=True):
    """A request for a response. Agents get the other options if they take them; otherwise these are ignored."""

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
    """The options of a request that its response repeats, whether or not the agent takes them."""

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
    """A parsed request for a response.

    Attributes:
        request: The request, without its input.
        echoed: The options that the response repeats.
        has_input: Whether the request has any input.
        specials: The content that not every agent takes.
    """

    request: ResponsesRequest
    echoed: Echoed = Echoed()
    has_input: bool = True
    specials: tuple[Special, ...] = ()


_ECHOED = msgspec.structs.fields(Echoed)


def echoed_in(body: bytes, own: frozenset[str]) -> Echoed:
    """Return the options that a response repeats.

    Args:
        body: The request.
        own: The names of the arguments of all agents. Such an option may have any value; the response repeats it if it
            has the type of the API.

    Raises:
        Problem: 400: another option has a wrong value.
    """
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    options: dict[str, Any] = {}
    for field in _ECHOED:
        if field.name not in fields:
            continue
        try:
            value = convert(msgspec.json.decode(fields[field.name]), field.type, under=field.name, status=400)
            options[field.name] = _tools(value) if field.name == "tools" else value
        except Problem:
            if field.name not in own:
                raise
    return Echoed(**options)


def _tools(tools: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Return tools in the form of a response."""
    complete = []
    for number, tool in enumerate(tools or ()):
        where = f"tools[{number}]"
        for name in ("type", "name") if tool.get("type") == "function" else ("type",):
            if not isinstance(tool.get(name), str):
                text = f"Missing required parameter: '{where}.{name}'."
                raise Problem(400, text, param=f"{where}.{name}", code="missing_required_parameter")
        nulls = {"description": None, "parameters": None, "strict": True} if tool["type"] == "function" else {}
        complete.append({**nulls, **tool})
    return complete
