"""`EmbeddingProvider`: OpenAI's embeddings API."""

import array
import base64
import binascii
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from miniagents.ext.llms.messages import Usage
from miniagents.ext.llms.provider import Answer, ModelRequest
from miniagents.ext.llms.providers.clients import as_parameters, without_retries
from miniagents.ext.llms.providers.endpoint import Endpoint
from miniagents.ext.llms.providers.error_mapping import malformed
from miniagents.ext.llms.providers.openai import api_options
from miniagents.ext.llms.providers.reading import Unreadable, a_list, a_place, an_object, count
from miniagents.ext.llms.providers.response_stream import read_response


class EmbeddingProvider:
    """OpenAI's embeddings API: a request whose answer has vectors and no tokens.

    Args:
        client: An `openai.AsyncOpenAI`.
        key_source: The name of the argument or of the environment variable that its key came from.
    """

    name = "openai"
    operation = "embeddings"

    def __init__(self, client: Any, key_source: str = "async_client=") -> None:
        self._client = without_retries(client)
        self._endpoint = Endpoint(self.name, "openai", key_source)
        self.address = str(client.base_url)
        self.key = f"{self.name} embeddings {client.base_url}"

    def stream(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str | None, None]:
        """Send a request; its answer has `embeddings` in the order of the messages. See `Provider`."""
        whole = replace(request, stream=False)
        return read_response(
            self._endpoint, whole, answer, lambda: self._embed(request), _EmbeddingsReader(answer), _check
        )

    def _embed(self, request: ModelRequest) -> Any:
        options = {"encoding_format": "base64", **api_options(request)}
        options.pop("max_tokens", None)  # it is for the reservation alone: an embedding writes no tokens
        embeddings = self._client.embeddings
        return embeddings.with_streaming_response.create(
            input=[str(message) for message in request.messages],
            model=request.model,
            **as_parameters(embeddings.create, options),
        )


def _check(name: str, request: ModelRequest, answer: Answer) -> None:
    received, expected = len(answer.embeddings), len(request.messages)
    if received != expected:
        raise malformed(name, f"there are {received} embeddings of {expected} texts")


class _EmbeddingsReader:
    """The reader of an answer with embeddings; see `Reader`."""

    is_done = False

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def event(self, kind: str, data: dict[str, Any]) -> str:
        """Refuse the event: embeddings do not stream."""
        raise Unreadable("the answer", "a stream")

    def whole(self, data: dict[str, Any]) -> str:
        """Read the vectors."""
        answer = self._answer
        usage = data.get("usage")
        if isinstance(usage, dict) and count(usage.get("prompt_tokens")):
            answer.usage = Usage(input_tokens=count(usage["prompt_tokens"]))
        model = data.get("model")
        answer.model = model if isinstance(model, str) else None
        answer.stop_reason = "stop"
        entries = a_list(data.get("data"), "data")
        if not entries:
            raise Unreadable("data", data.get("data"))
        placed: list[tuple[int, tuple[float, ...]]] = []
        for number, entry in enumerate(entries):
            where = f"data[{number}]"
            entry = an_object(entry, where)
            place = a_place(entry.get("index"))
            placed.append((number if place is None else place, _vector(entry.get("embedding"), f"{where}.embedding")))
        answer.embeddings = tuple(vector for _, vector in sorted(placed, key=lambda pair: pair[0]))
        return ""


def _vector(value: object, field: str) -> tuple[float, ...]:
    """Return a vector: its numbers, or 32-bit floats in base64, in little-endian order."""
    if isinstance(value, str):
        try:
            packed = array.array("f", base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            raise Unreadable(field, value) from None
        if sys.byteorder == "big":
            packed.byteswap()
        return tuple(packed)
    if not isinstance(value, list) or not value:
        raise Unreadable(field, value)
    for number in value:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise Unreadable(field, number)
    return tuple(map(float, value))
