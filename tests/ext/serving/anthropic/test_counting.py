"""`/v1/messages/count_tokens`, and what a stream says at its beginning of what it has read."""

from typing import Any

import anthropic
import pytest

from miniagents import InteractionContext, miniagent
from miniagents.ext.llms import FileMessage, ImageMessage, ToolResultMessage, UserMessage
from miniagents.ext.llms.estimating import estimate
from miniagents.ext.serving import Limits, Served, agent_app
from miniagents.messages import Messages
from miniagents.testing import Reply, Script, ScriptedModel
from tests.ext.serving.agents import Held, echo, soon
from tests.ext.serving.anthropic.strict_client import strict_client, unknown_fields
from tests.ext.serving.servers import AUTH, TOKEN, in_process, served

pytestmark = pytest.mark.real_time

HELLO: Any = [{"role": "user", "content": "Hello, how are you today?"}]
TOOL: Any = {"name": "population", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}


def test_images_and_files_count_with_what_they_take() -> None:
    text = estimate([UserMessage("Hi")])
    image = ImageMessage(url="https://example.com/a.png")
    pdf = FileMessage(data=b"<< /Type /Pages >> << /Type /Page >> <</Type/Page>>", media_type="application/pdf")
    letters = FileMessage(data=b"x" * 4000, media_type="text/plain")
    result = ToolResultMessage("", call_id="1", parts=(image,))

    assert text < 20
    assert 1600 <= estimate([image]) < 1620
    assert 4000 <= estimate([pdf]) < 4020
    assert 1000 <= estimate([letters]) < 1020
    assert 2000 <= estimate([FileMessage(url="https://example.com/a.pdf")]) < 2020
    assert 1600 <= estimate([result]) < 1620


async def test_the_client_counts_tokens_more_of_them_for_more() -> None:
    image: Any = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    app = agent_app(echo, auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        plain = await client.messages.count_tokens(model="echo", messages=HELLO)
        told = await client.messages.count_tokens(model="echo", messages=HELLO, system="Be as brief as you can be.")
        with_tools = await client.messages.count_tokens(model="echo", messages=HELLO, tools=[TOOL])
        shown = await client.messages.count_tokens(model="echo", messages=[{"role": "user", "content": [image]}])
        in_beta = await client.beta.messages.count_tokens(model="echo", messages=HELLO, betas=["x"])

    assert 5 <= plain.input_tokens <= 15
    assert told.input_tokens > plain.input_tokens
    assert with_tools.input_tokens > plain.input_tokens + 20
    assert shown.input_tokens >= 1600
    assert in_beta.input_tokens == plain.input_tokens
    assert unknown_fields([plain, in_beta]) == []


async def test_no_agent_is_called_to_count() -> None:
    held = Held()
    async with in_process(agent_app(held.agent, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/v1/messages/count_tokens", json={"model": "held", "messages": HELLO})

    assert answer.status_code == 200
    assert not held.waiting.is_set()


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_agents_own_counter_counts(is_async: bool) -> None:
    got: list[Messages] = []

    def count(messages: Messages) -> int:
        got.append(messages)
        return 42

    async def count_later(messages: Messages) -> int:
        return count(messages)

    app = agent_app(Served(echo, count_tokens=count_later if is_async else count), auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        counted = await client.messages.count_tokens(model="echo", messages=HELLO, system="Be brief.")

    assert counted.input_tokens == 42
    assert list(map(str, got[0])) == ["Be brief.", "Hello, how are you today?"]


@pytest.mark.parametrize("said", [-1, True, "7", None])
async def test_a_counter_that_gives_no_number_is_a_failure_of_the_service(said: Any) -> None:
    app = agent_app(Served(echo, count_tokens=lambda messages: said), auth=TOKEN, admin_auth=None)
    async with in_process(app) as client:
        answer = await client.post("/v1/messages/count_tokens", json={"model": "echo", "messages": HELLO})

    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "api_error")


async def test_what_cannot_be_counted_is_refused_as_what_cannot_be_answered() -> None:
    app = agent_app(echo, auth=TOKEN, admin_auth=None, limits=Limits(messages=2, body=1000, elements=100))
    upload: Any = {"type": "container_upload", "file_id": "file_1"}
    async with served(app) as url, strict_client(url) as client:
        count = client.messages.count_tokens
        with pytest.raises(anthropic.BadRequestError, match=r"container_upload.*messages\[0\].content\[0\]"):
            await count(model="echo", messages=[{"role": "user", "content": [upload]}])
        with pytest.raises(anthropic.BadRequestError, match="more than 2 messages"):
            await count(model="echo", messages=HELLO * 3)
        with pytest.raises(anthropic.BadRequestError, match="more than 100 elements"):
            await count(model="echo", messages=HELLO, extra_body={"tools": [{}] * 101})
        with pytest.raises(anthropic.APIStatusError) as too_large:
            await count(model="echo", messages=[{"role": "user", "content": "x" * 1000}])
        with pytest.raises(anthropic.NotFoundError):
            await count(model="nobody", messages=HELLO)
        with pytest.raises(anthropic.BadRequestError, match="model"):
            await count(model=None, messages=HELLO)  # type: ignore[arg-type]
        with pytest.raises(anthropic.AuthenticationError):
            await client.with_options(api_key="wrong").messages.count_tokens(model=None, messages=HELLO)  # type: ignore[arg-type]

    assert (too_large.value.status_code, too_large.value.body["error"]["type"]) == (413, "request_too_large")  # type: ignore[index]


async def test_counting_takes_a_place_of_its_key() -> None:
    held = Held()
    app = agent_app(
        [held.agent, echo], auth={"ann": TOKEN, "bob": "b" * 20}, admin_auth=None, limits=Limits(concurrent=1)
    )
    async with served(app) as url, strict_client(url) as client:
        bob = client.with_options(api_key="b" * 20)
        async with client.messages.stream(model="held", max_tokens=9, messages=HELLO) as stream:
            await soon(held.waiting)
            with pytest.raises(anthropic.RateLimitError):
                await client.messages.count_tokens(model="echo", messages=HELLO)
            assert (await bob.messages.count_tokens(model="echo", messages=HELLO)).input_tokens > 0
            held.let_go.set()
            await stream.get_final_message()


async def test_a_stream_says_first_what_it_has_read_roughly_and_last_what_was_used() -> None:
    model = ScriptedModel.fork(alias="clerk", script=Script(Reply("one two", input_tokens=1000, cached_tokens=400)))
    app = agent_app(model, auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        counted = await client.messages.count_tokens(model="clerk", messages=HELLO)
        events = [
            e async for e in await client.messages.create(model="clerk", max_tokens=9, messages=HELLO, stream=True)
        ]

    first, (*_, last, _) = events[0], events
    assert first.type == "message_start"
    assert last.type == "message_delta"
    assert (first.message.usage.input_tokens, first.message.usage.output_tokens) == (counted.input_tokens, 0)
    usage = last.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens) == (600, 2, 400)


async def test_tools_count_in_what_a_stream_says_first() -> None:
    @miniagent(alias="silent")
    async def silent(ctx: InteractionContext) -> None:
        ctx.reply("Yes.")

    body = {"model": "silent", "max_tokens": 9, "messages": HELLO, "stream": True}
    async with in_process(agent_app(silent, auth=TOKEN, admin_auth=None)) as client:
        with_tools = (await client.post("/v1/messages", json={**body, "tools": [TOOL]}, headers=AUTH)).text
        without = (await client.post("/v1/messages", json=body)).text

    assert _first_count(with_tools) > _first_count(without) + 20


def _first_count(text: str) -> int:
    return int(text.split('"input_tokens":')[1].split(",")[0])
