"""A key is shown nowhere, not even where the provider itself shows it."""

import base64
import logging
import pickle
import traceback
from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.errors import AllModelsFailedError, AuthenticationError, LLMError, MissingKeyError
from miniagents.ext.llms import AnthropicAgent, Fallback, OpenAIAgent, openai_embedding_agent
from miniagents.ext.llms.providers.redacting import REDACTED, Redactor
from tests.ext.llms.apis import ONCE
from tests.ext.llms.wire import APIS, Answer, Wire, chunk, document, opening, says_piece, stream

pytestmark = pytest.mark.real_time

KEY = "sk-proj-Very+Secret/Key_0123456789-abcdefghij"
SAYS = f"Incorrect API key provided: {KEY}. You can find your API key in the dashboard."


def errors(api: str) -> dict[str, Answer]:
    """Answers that show the key."""
    said = {"error": {"message": SAYS, "type": "authentication_error", "code": KEY, "param": None}, "request_id": KEY}
    return {
        "401": document(said, status=401),
        "401, headers too": document(said, status=401, x_request_id=KEY, x_ratelimit_limit_requests=KEY),
        "401, a text": Answer(SAYS.encode(), status=401, content_type="text/plain"),
        "401, the key alone": document({"error": KEY}, status=401),
        "401, the key cut off": document({"error": {"message": f"no such key: {KEY[:20]}"}}, status=401),
        "500": document(said, status=500),
        "429": document(said, status=429, retry_after="86400"),
        "400, nested": document({"error": {"message": {"deep": [SAYS]}}}, status=400),
        "an error in a 200": document(said),
        "an error in a stream": stream(*opening(api), says_piece(api, "a"), {"type": "error", **said}),
        "what cannot be read": document({"choices": KEY, "output": KEY, "content": KEY + "]", "model": KEY}),
        "no JSON": Answer(SAYS.encode(), content_type="application/json"),
        "a page": Answer(b"<html>", content_type=f"text/html; {KEY}"),
    }


def shown(error: BaseException) -> list[str]:
    """All that an error shows, with whatever is behind it."""
    found = [str(error), repr(error), repr(error.args), repr(vars(error)), "".join(traceback.format_exception(error))]
    found.append("".join(traceback.TracebackException.from_exception(error, capture_locals=False).format(chain=True)))
    for behind in (error.__cause__, error.__context__):
        if behind is not None:
            found += shown(behind)
    return found


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("kind", list(errors("chat")))
async def test_no_path_of_an_error_shows_the_key_that_a_provider_shows(
    api: str, kind: str, log: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    answer = errors(api)[kind]
    streamed = answer.headers["content-type"] == "text/event-stream"
    async with MiniAgents() as system, Wire(answer) as wire:
        with system.events.subscribe() as events:
            promise = wire.agent(api, api_key=KEY, stream=streamed).inquire("Hi")
            with pytest.raises(LLMError) as raised:
                await promise
            failed = [repr(promise)]
            with pytest.raises(LLMError):
                async for one in promise:
                    failed.append(repr(one))
                    await one
            failed.append(repr(one))
            system.events.close()
            seen = [repr(event) async for event in events]

    everything = [*shown(raised.value), *failed, *seen, *map(repr, log), caplog.text]
    everything.append(repr(pickle.dumps(raised.value)))
    assert [one for one in everything if KEY[:16] in one] == []


@pytest.mark.parametrize("api", APIS)
async def test_the_words_beside_the_key_are_kept(api: str) -> None:
    async with MiniAgents(), Wire(errors(api)["401"]) as wire:
        with pytest.raises(AuthenticationError) as raised:
            await wire.agent(api, api_key=KEY).inquire("Hi")
    assert f"Incorrect API key provided: {REDACTED}. You can find" in str(raised.value)


async def test_the_error_of_all_models_shows_no_key() -> None:
    async with MiniAgents(), Wire(errors("chat")["401"]) as wire:
        with pytest.raises(AllModelsFailedError) as raised:
            await Fallback(wire.agent("chat", api_key=KEY), wire.agent("anthropic", api_key=KEY)).inquire("Hi")
    assert [one for one in shown(raised.value) if KEY[:16] in one] == []


async def test_an_embedding_shows_no_key() -> None:
    async with MiniAgents(), Wire(errors("chat")["401"]) as wire:
        agent = openai_embedding_agent.fork(
            model="m", base_url=f"http://127.0.0.1:{wire.port}/v1", api_key=KEY, retry=ONCE
        )
        with pytest.raises(AuthenticationError, match="from api_key=") as raised:
            await agent.inquire("Hi")
    assert [one for one in shown(raised.value) if KEY[:16] in one] == []


AGENTS = {"openai": (OpenAIAgent, "OPENAI_API_KEY"), "anthropic": (AnthropicAgent, "ANTHROPIC_API_KEY")}


@pytest.mark.parametrize("package", list(AGENTS))
@pytest.mark.parametrize("source", ["the argument", "the environment", "a client"])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_named_by_where_it_came_from(
    package: str, source: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, variable = AGENTS[package]
    monkeypatch.setenv(variable, KEY)
    sdk = pytest.importorskip(package)
    async with MiniAgents(), Wire(document({"error": {"message": SAYS}}, status=status)) as wire:
        address = f"http://127.0.0.1:{wire.port}" + ("/v1" if package == "openai" else "")
        client = sdk.AsyncOpenAI if package == "openai" else sdk.AsyncAnthropic
        given: dict[str, Any] = {"the argument": {"api_key": KEY}, "the environment": {}}.get(
            source, {"async_client": client(api_key=KEY, base_url=address)}
        )
        where = {"the argument": "api_key=", "the environment": variable, "a client": "async_client="}[source]
        with pytest.raises(AuthenticationError, match=f"key from {where}") as raised:
            await agent.fork(model="m", base_url=address, **given).inquire("Hi")
        if source == "a client":
            await given["async_client"].close()
    assert [one for one in shown(raised.value) if KEY[:16] in one] == []


@pytest.mark.parametrize("package", list(AGENTS))
@pytest.mark.parametrize("key", [f"{KEY}\nx", f"{KEY}é", f"{KEY}\x00", "\u200b" + KEY])
async def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(
    package: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, variable = AGENTS[package]
    monkeypatch.setenv(variable, key.replace("\x00", "\x01"))
    async with MiniAgents():
        given: list[tuple[dict[str, Any], str]] = [({"api_key": key}, "api_key="), ({}, variable)]
        for options, where in given:
            with pytest.raises(MissingKeyError, match=where) as raised:
                await agent.fork(model="m", base_url="http://127.0.0.1:9", **options).inquire("Hi")
            assert [one for one in shown(raised.value) if KEY[:16] in one] == []


@pytest.mark.parametrize("key", [f"{KEY}\nx", f"{KEY}é"])
async def test_a_client_with_a_key_that_no_header_can_carry_shows_it_neither(key: str) -> None:
    openai = pytest.importorskip("openai")
    async with MiniAgents(), Wire(stream(chunk())) as wire:
        client = openai.AsyncOpenAI(api_key=key, base_url=f"http://127.0.0.1:{wire.port}/v1")
        with pytest.raises(LLMError) as raised:
            await OpenAIAgent.fork(model="m", async_client=client, retry=ONCE).inquire("Hi")
        await client.close()
    assert [one for one in shown(raised.value) if KEY[:16] in one] == []


@pytest.mark.parametrize("package", list(AGENTS))
async def test_white_space_around_a_key_is_no_part_of_it(package: str) -> None:
    agent, _ = AGENTS[package]
    async with MiniAgents(), Wire(document({"error": {"message": "no"}}, status=401)) as wire:
        with pytest.raises(AuthenticationError):
            await agent.fork(model="m", base_url=f"http://127.0.0.1:{wire.port}", api_key=f"{KEY}\n").inquire("Hi")


def test_what_is_too_short_for_a_key_is_left_in_the_words() -> None:
    assert Redactor(["k", "none"])("a kind of none") == "a kind of none"


def test_a_secret_is_found_in_other_forms_and_within_data() -> None:
    redacted = Redactor(["se/cret value", KEY])

    assert redacted("x se%2Fcret%20value y") == f"x {REDACTED} y"
    assert redacted({"a": ["se/cret value", 7], "se/cret value": None}) == {"a": [REDACTED, 7], REDACTED: None}
    assert redacted(f"{KEY[:16]}, and {KEY}") == f"{REDACTED}, and {REDACTED}"


def test_basic_credentials_are_secrets() -> None:
    httpx2 = pytest.importorskip("httpx2")
    from miniagents.ext.llms.providers.redacting import redactor_of

    token = base64.b64encode(b"user:password").decode()
    request = httpx2.Request(
        "POST", "http://user:open-sesame@host/?key=in-the-query&x=1", headers={"Authorization": f"Basic {token}"}
    )

    assert redactor_of(request)(f"{token} open-sesame in-the-query 1") == f"{REDACTED} {REDACTED} {REDACTED} 1"
