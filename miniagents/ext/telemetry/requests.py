"""The attributes of a request to a model and of its answer, by the GenAI conventions."""

from typing import Any
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
"""The attributes of a request that metrics have, too."""

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
    """`gen_ai.operation.name`: what kind of request a provider makes."""
    return str(getattr(provider, "operation", "chat"))


def of_request(provider: Provider, request: ModelRequest) -> Attributes:
    """What is known before the answer."""
    operation = operation_of(provider)
    found: Attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": provider.name,
        "gen_ai.request.model": request.model,
    }
    address = urlsplit(getattr(provider, "address", ""))
    if address.hostname:
        found["server.address"] = address.hostname
        found["server.port"] = address.port or (80 if address.scheme == "http" else 443)
    if operation != "chat":
        return found
    for option, name in _NUMBERS.items():
        value = request.options.get(option)
        if isinstance(value, (int, float)):
            found[name] = value
    stop: Any = request.options.get("stop", request.options.get("stop_sequences"))
    if stop is not None:
        found["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else [str(one) for one in stop]
    if request.stream:
        found["gen_ai.request.stream"] = True
    if request.output is not None:
        found["gen_ai.output.type"] = "json"
    return found


def of_answer(answer: Answer) -> Attributes:
    """What is known after it."""
    found: dict[str, AttributeValue | None] = {
        "gen_ai.response.model": answer.model,
        "gen_ai.response.finish_reasons": [answer.stop_reason] if answer.stop_reason is not None else None,
    }
    usage = answer.usage
    if usage is not None and not usage.estimated:
        found["gen_ai.usage.input_tokens"] = usage.input_tokens
        found["gen_ai.usage.output_tokens"] = usage.output_tokens
        found["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens or None
    return {name: value for name, value in found.items() if value is not None}
