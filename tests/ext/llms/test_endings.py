"""How an answer ends is read, not assumed: errors inside successes, answers that are none, and empty ones."""

from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.errors import (
    AuthenticationError,
    ContextOverflowError,
    IncompleteResponseError,
    InvalidRequestError,
    LLMError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
)
from miniagents.ext.llms.endings import Ending, ending_of
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.llms.apis import ONCE, agent_of, each_api
from tests.ext.llms.wire import (
    APIS,
    DONE,
    Answer,
    Wire,
    chunk,
    completion,
    document,
    end,
    message,
    opening,
    response,
    says,
    says_piece,
    start,
    stream,
)

pytestmark = pytest.mark.real_time

STREAMS = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
APIS_EACH = pytest.mark.parametrize("api", APIS)
SAYS = "these are the words"

ERRORS: dict[str, tuple[Any, type[LLMError], bool, str]] = {
    # What is in the body, the error, whether it is worth another attempt, and the provider's word for it.
    "429": ({"error": {"code": 429, "message": SAYS}}, RateLimitedError, True, "429"),
    "502": ({"error": {"code": 502, "message": SAYS}, "user_id": "u"}, ProviderUnavailableError, True, "502"),
    "401": ({"error": {"code": 401, "message": SAYS}}, AuthenticationError, False, "401"),
    "402": ({"error": {"code": 402, "message": SAYS}}, QuotaExceededError, False, "402"),
    "400": ({"error": {"code": 400, "message": SAYS}}, InvalidRequestError, False, "400"),
    "a number as text": ({"error": {"code": "403", "message": SAYS}}, AuthenticationError, False, "403"),
    "a word of OpenAI": (
        {"error": {"code": "invalid_api_key", "message": SAYS}},
        AuthenticationError,
        False,
        "invalid_api_key",
    ),
    "a quota": (
        {"error": {"type": "insufficient_quota", "message": SAYS}},
        QuotaExceededError,
        False,
        "insufficient_quota",
    ),
    "an overflow": (
        {"error": {"code": "context_length_exceeded", "message": SAYS}},
        ContextOverflowError,
        False,
        "context_length_exceeded",
    ),
    "a word of Anthropic": (
        {"type": "error", "error": {"type": "overloaded_error", "message": SAYS}, "request_id": "req_1"},
        ProviderUnavailableError,
        True,
        "overloaded_error",
    ),
    "a word of Google, in a list": (
        [{"error": {"status": "RESOURCE_EXHAUSTED", "message": SAYS}}],
        RateLimitedError,
        True,
        "RESOURCE_EXHAUSTED",
    ),
    "a text": ({"error": SAYS}, ProviderUnavailableError, True, ""),
    "an unknown word": ({"error": {"code": "oops", "message": SAYS}}, ProviderUnavailableError, True, "oops"),
}


@APIS_EACH
@pytest.mark.parametrize(
    ("streamed", "form"),
    [(False, "a document"), (True, "a document"), (True, "an event"), (True, "an event after text")],
)
@pytest.mark.parametrize("kind", list(ERRORS))
async def test_an_error_inside_a_success_is_an_error_with_its_words(
    api: str, streamed: bool, form: str, kind: str
) -> None:
    body, error, is_worth_another, word = ERRORS[kind]
    if form == "a document":
        answer = document(body, x_request_id="req_2")
    else:
        text = [*opening(api), says_piece(api, "all is")] if form.endswith("text") else []
        answer = stream(*text, b"data: " + document(body).parts[0] + b"\n\n", x_request_id="req_2")

    async with MiniAgents(), Wire(answer) as wire:
        with pytest.raises(error, match=SAYS) as raised:
            await wire.agent(api, stream=streamed).inquire("Hi")

    assert isinstance(raised.value, ProviderError)
    assert raised.value.error_type == (word or None)
    assert raised.value.request_id == "req_2"
    assert len(wire.requests) == (2 if is_worth_another else 1)


WHY = {"code": "server_error", "message": "why"}
IN_A_CHOICE = {"choices": [{"delta": {"content": ""}, "finish_reason": "error", "error": {"message": "why"}}]}
FAILED = {"type": "response.failed", "response": response(status="failed")}
FAILED_WITH_WORDS = {"type": "response.failed", "response": response(error=WHY)}
FAILED_AS_COMPLETED = {"type": "response.completed", "response": response(status="failed")}


@pytest.mark.parametrize(
    ("api", "answer", "says_why"),
    [
        ("chat", stream(chunk({"content": "all"}), chunk({}, "error"), DONE), "finish_reason 'error'"),
        ("chat", document(completion({"content": "all"}, "error")), "finish_reason 'error'"),
        ("chat", stream(IN_A_CHOICE), "why"),
        ("chat", stream({"object": "error", "message": "why", "code": 500}), "500: why"),
        ("chat", document({"object": "error", "message": "why", "code": 500}), "500: why"),
        ("chat", document({"detail": "why"}), "why"),
        ("chat", Answer(b'{"error": {"message": "why"}}', content_type="text/event-stream"), "why"),
        ("responses", document(response(status="failed", error=WHY)), "500: why"),
        ("responses", document(response(error=WHY)), "500: why"),
        ("responses", document(response(status="failed")), "the response failed"),
        ("responses", stream(FAILED), "the response failed"),
        ("responses", stream(FAILED_WITH_WORDS), "500: why"),
        ("responses", stream(FAILED_AS_COMPLETED), "the response failed"),
        ("responses", stream({"type": "response.failed", "response": response()}), "the response failed"),
        ("responses", stream({"type": "error", **WHY, "param": None}), "500: why"),
        ("anthropic", stream(start(), {"type": "error", "error": {"type": "api_error", "message": "why"}}), "500: why"),
    ],
)
async def test_an_answer_that_failed_is_an_error_that_is_worth_another_attempt(
    api: str, answer: Answer, says_why: str
) -> None:
    streamed = answer.headers["content-type"] == "text/event-stream"
    async with MiniAgents(), Wire(answer) as wire:
        with pytest.raises(ProviderUnavailableError, match=says_why):
            await wire.agent(api, stream=streamed).inquire("Hi")
    assert len(wire.requests) == 2


@pytest.mark.parametrize("status", ["cancelled", "queued", "in_progress"])
@STREAMS
async def test_a_response_that_is_not_over_or_was_cancelled_is_no_answer(status: str, streamed: bool) -> None:
    body = response(status=status)
    kind = "response.cancelled" if status == "cancelled" else "response.completed"
    answer = stream({"type": kind, "response": body}) if streamed else document(body)
    async with MiniAgents(), Wire(answer) as wire:
        with pytest.raises(ProviderUnavailableError, match=status.split("_")[0]):
            await wire.agent("responses", stream=streamed).inquire("Hi")
    assert len(wire.requests) == 1


NOTHING = {
    "chat": (stream(chunk({"role": "assistant", "content": ""}), chunk({}, "stop"), DONE), completion({"content": ""})),
    "responses": (stream({"type": "response.completed", "response": response()}), response()),
    "anthropic": (stream(start(), *end()), message()),
}


@APIS_EACH
@STREAMS
async def test_an_empty_answer_is_asked_for_again(api: str, streamed: bool) -> None:
    events, body = NOTHING[api]
    answer = events if streamed else document(body)
    async with MiniAgents(), Wire(answer, says(api, streamed=streamed)) as wire:
        assert str(await wire.agent(api, stream=streamed).inquire("Hi")) == "all is well"
    async with MiniAgents(), Wire(answer) as wire:
        with pytest.raises(IncompleteResponseError, match="the answer is empty"):
            await wire.agent(api, stream=streamed).inquire("Hi")


@APIS_EACH
@pytest.mark.parametrize("parts", [(), (DONE,), (b": ping\n\n", DONE), (b"data:\n\n",)])
async def test_an_empty_stream_is_asked_for_again(api: str, parts: tuple[bytes, ...]) -> None:
    async with MiniAgents(), Wire(stream(*parts), says(api)) as wire:
        assert str(await wire.agent(api).inquire("Hi")) == "all is well"
    assert len(wire.requests) == 2


@each_api
@STREAMS
async def test_an_empty_answer_after_the_results_of_tools_is_one_and_says_so(
    api: str, streamed: bool, fake_provider: FakeProvider
) -> None:
    fake_provider.reset(Reply(calls=(Call("look"),)), Reply(""))

    def look() -> str:
        return "nothing"

    async with MiniAgents():
        _, _, reply = await agent_of(api, fake_provider, stream=streamed, tools=[look]).inquire("look")
    assert str(reply) == ""
    assert reply.metadata["empty"] is True


@pytest.mark.parametrize(("api", "reason"), [("chat", "length"), ("chat", "content_filter"), ("anthropic", "refusal")])
@STREAMS
async def test_an_empty_answer_that_was_cut_says_so(api: str, reason: str, streamed: bool) -> None:
    if api == "anthropic":
        answer = stream(start(), *end(reason)) if streamed else document(message(reason=reason))
    else:
        whole = completion(None, reason)  # so Azure's filter answers
        answer = stream(chunk({}, reason), DONE) if streamed else document(whole)
    async with MiniAgents(), Wire(answer) as wire:
        (reply,) = await wire.agent(api, stream=streamed).inquire("Hi")
    assert reply.stop_reason == reason  # type: ignore[attr-defined]
    assert reply.metadata["empty"] is True


async def test_a_scripted_model_knows_no_empty_answer_either() -> None:
    async with MiniAgents():
        with pytest.raises(IncompleteResponseError, match="the answer is empty"):
            await ScriptedModel.fork(script=Script(""), retry=ONCE).inquire("Hi")


@pytest.mark.parametrize(
    ("word", "ending"),
    [
        ("tool_calls", Ending.CALLS),
        ("tool_use", Ending.CALLS),
        ("stop", Ending.WHOLE),
        ("STOP", Ending.WHOLE),
        ("end_turn", Ending.WHOLE),
        ("length", Ending.TRUNCATED),
        ("max_tokens", Ending.TRUNCATED),
        ("content_filter", Ending.REFUSED),
        ("error", Ending.FAILED),
        ("insufficient_system_resource", Ending.FAILED),
        ("stop_sequence", Ending.OTHER),
        ("a word that nobody knows", Ending.OTHER),
        (None, Ending.FAILED),
    ],
)
def test_the_word_of_a_provider_means_an_ending(word: str | None, ending: Ending) -> None:
    assert ending_of(word) is ending
