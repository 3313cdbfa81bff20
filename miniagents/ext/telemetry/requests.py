"""The attributes of model requests and answers, by the GenAI conventions."""

from urllib.parse import urlsplit

from opentelemetry.util.types import AttributeValue

from miniagents.ext.llms.provider import Answer, ModelRequest, Provider
from miniagents.ext.telemetry.spans import Attributes

LABELS = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "server.address",
    "server.port",
)
"""The attributes of a request that metrics have as well."""

_NUMBERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
}


def operation_of(provider: Provider) -> str:
    """Return the value of `gen_ai.operation.name`: the kind of request that a provider makes."""
    return str(getattr(provider, "operation", "chat"))


def of_request(provider: Provider, request: ModelRequest) -> Attributes:
    """Return the attributes of a request."""
    operation = operation_of(provider)
    attributes: Attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": provider.name,
        "gen_ai.request.model": request.model,
    }
    address = urlsplit(getattr(provider, "address", ""))
    if address.hostname:
        attributes["server.address"] = address.hostname
        attributes["server.port"] = address.port or (80 if address.scheme == "http" else 443)
    if operation != "chat":
        return attributes
    for option, name in _NUMBERS.items():
        value = request.options.get(option)
        if isinstance(value, (int, float)):
            attributes[name] = value
    stop = request.options.get("stop", request.options.get("stop_sequences"))
    if stop is not None:
        attributes["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else [str(text) for text in stop]
    if request.stream:
        attributes["gen_ai.request.stream"] = True
    if request.output is not None:
        attributes["gen_ai.output.type"] = "json"
    return attributes


def of_answer(answer: Answer) -> Attributes:
    """Return the attributes of an answer."""
    attributes: dict[str, AttributeValue | None] = {
        "gen_ai.response.model": answer.model,
        "gen_ai.response.finish_reasons": [answer.stop_reason] if answer.stop_reason is not None else None,
    }
    usage = answer.usage
    if usage is not None and not usage.estimated:
        attributes["gen_ai.usage.input_tokens"] = usage.input_tokens
        attributes["gen_ai.usage.output_tokens"] = usage.output_tokens
        attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens or None
    return {name: value for name, value in attributes.items() if value is not None}
