"""Embeddings as servers really send them."""

import base64
import struct
from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.errors import AuthenticationError, LLMError, MalformedResponseError
from miniagents.ext.llms import Budget, EmbeddingMessage, openai_embedding_agent
from tests.ext.llms.apis import ONCE
from tests.ext.llms.wire import Answer, Wire, document

pytestmark = pytest.mark.real_time

PACKED = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()


def embeddings(*vectors: Any, **more: Any) -> Answer:
    data = [{"object": "embedding", "index": number, "embedding": one} for number, one in enumerate(vectors)]
    return document({"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 2}} | more)


async def asked(answer: Answer, *texts: str, **options: Any) -> list[tuple[float, ...]]:
    async with MiniAgents(), Wire(answer) as wire:
        agent = openai_embedding_agent.fork(
            model="m", batch_mode=True, base_url=f"http://127.0.0.1:{wire.port}/v1", api_key="k", retry=ONCE, **options
        )
        replies = await agent.inquire(list(texts))
    return [one.embedding for one in replies if isinstance(one, EmbeddingMessage)]


@pytest.mark.parametrize("vector", [PACKED, [0.5, -1], [0.5, -1.0]], ids=["base64", "an integer in it", "numbers"])
async def test_a_vector_is_read_in_either_form(vector: Any) -> None:
    assert await asked(embeddings(vector), "a") == [(0.5, -1.0)]


async def test_vectors_stand_in_the_order_of_the_texts() -> None:
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    assert await asked(embeddings(data=data), "a", "b") == [(1.0,), (2.0,)]


async def test_usage_that_is_missing_is_estimated() -> None:
    budget = Budget(tokens=1000)
    await asked(embeddings([1.0], usage=None), "a text of some letters", budget=budget)
    assert budget.spent.estimated_tokens == budget.spent.tokens > 0


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (embeddings(data=None), MalformedResponseError, "data is missing"),
        (embeddings(), MalformedResponseError, r"data is \[\]"),
        (embeddings(data=[7]), MalformedResponseError, r"data\[0\] is 7"),
        (embeddings(None), MalformedResponseError, r"data\[0\].embedding is missing"),
        (embeddings([]), MalformedResponseError, r"data\[0\].embedding is \[\]"),
        (embeddings(["a"]), MalformedResponseError, r"data\[0\].embedding is 'a'"),
        (embeddings("no base64!"), MalformedResponseError, r"data\[0\].embedding is"),
        (embeddings("AAA="), MalformedResponseError, r"data\[0\].embedding is"),
        (embeddings([1.0], [2.0]), MalformedResponseError, "2 embeddings of 1 texts"),
        (document({"error": {"code": 401, "message": "no"}}), AuthenticationError, "no"),
    ],
)
async def test_what_is_no_embedding_is_told(answer: Answer, error: type[LLMError], says: str) -> None:
    with pytest.raises(error, match=says):
        await asked(answer, "a")
