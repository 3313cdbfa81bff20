"""Usage that a provider leaves out, or says is zero, is estimated, and marked as that."""

from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.errors import BudgetExceededError
from miniagents.ext.llms import Budget, Usage
from tests.ext.llms.wire import (
    APIS,
    DONE,
    Answer,
    Wire,
    call_delta,
    chunk,
    completion,
    document,
    end,
    message,
    response,
    start,
    stream,
    text_block,
    text_item,
    tool_block,
)

pytestmark = pytest.mark.real_time

TEXT = "These are some forty letters of a reply."
PROMPT = "A prompt of some forty letters, not more."
ZERO: dict[str, Any] = {
    "chat": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    "responses": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
    "anthropic": {"input_tokens": 0, "output_tokens": 0},
}


def answer_with(api: str, usage: Any, *, streamed: bool) -> Answer:
    if api == "chat":
        if streamed:
            return stream(
                chunk({"content": TEXT}), chunk({}, "stop", usage=usage), chunk(choices=[], usage=usage), DONE
            )
        return document(completion({"content": TEXT}, usage=usage))
    if api == "responses":
        body = response(text_item(TEXT), usage=usage)
        return stream({"type": "response.completed", "response": body}) if streamed else document(body)
    if streamed:
        return stream(start(usage=usage), *text_block(TEXT), *end(usage=usage))
    return document(message({"type": "text", "text": TEXT}, usage=usage))


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("said", ["nothing", "zero"])
async def test_usage_that_is_missing_or_zero_is_estimated_and_a_budget_ends(
    api: str, streamed: bool, said: str
) -> None:
    answer = answer_with(api, ZERO[api] if said == "zero" else None, streamed=streamed)
    budget = Budget(tokens=200)
    usages: list[Usage] = []
    async with MiniAgents(), Wire(answer) as wire:
        agent = wire.agent(api, stream=streamed, budget=budget, max_tokens=20)
        with pytest.raises(BudgetExceededError):
            for _ in range(50):
                usages.append((await agent.inquire(PROMPT))[0].usage)  # type: ignore[attr-defined]

    assert 2 <= len(usages) <= 10
    for usage in usages:
        assert usage.estimated
        assert usage.input_tokens == len(PROMPT) // 4 + 4
        assert usage.output_tokens == len(TEXT) // 4
    assert budget.spent.estimated_tokens == budget.spent.tokens == sum(usage.total_tokens for usage in usages)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_what_is_said_of_one_direction_is_kept(api: str, streamed: bool) -> None:
    written = next(name for name in ZERO[api] if name in ("completion_tokens", "output_tokens"))
    async with MiniAgents(), Wire(answer_with(api, {**ZERO[api], written: 7}, streamed=streamed)) as wire:
        (reply,) = await wire.agent(api, stream=streamed).inquire(PROMPT)
    assert reply.usage == Usage(len(PROMPT) // 4 + 4, 7, estimated=True)  # type: ignore[attr-defined]


async def test_what_a_message_begins_with_is_not_taken_for_what_was_written() -> None:
    answer = stream(start(), *text_block(TEXT), *end(usage=None))
    async with MiniAgents(), Wire(answer) as wire:
        (reply,) = await wire.agent("anthropic").inquire(PROMPT)
    assert reply.usage == Usage(3, len(TEXT) // 4, estimated=True)  # type: ignore[attr-defined]


async def test_a_zero_after_a_usage_does_not_take_it_back() -> None:
    sound = {"prompt_tokens": 30, "completion_tokens": 20}
    answer = stream(
        chunk({"content": TEXT}, usage=sound), chunk({}, "stop"), chunk(choices=[], usage=ZERO["chat"]), DONE
    )
    async with MiniAgents(), Wire(answer) as wire:
        (reply,) = await wire.agent("chat").inquire(PROMPT)
    assert reply.usage == Usage(30, 20)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("api", "answer"),
    [
        ("chat", stream(call_delta(0, "x", "look", '{"a": "%s"}' % ("b" * 400)), chunk({}, "tool_calls"), DONE)),
        (
            "anthropic",
            stream(start(), *tool_block("t", "look", given={"a": "b" * 400}), *end("tool_use", usage=None)),
        ),
    ],
)
async def test_tool_calls_are_estimated_by_their_letters(api: str, answer: Answer) -> None:
    async with MiniAgents(), Wire(answer) as wire:
        (reply,) = await wire.agent(api).inquire(PROMPT)
    assert reply.usage.estimated  # type: ignore[attr-defined]
    assert 100 <= reply.usage.output_tokens <= 110  # type: ignore[attr-defined]
