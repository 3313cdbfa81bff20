"""The routes of the front ends, their tokens, arguments and tools."""

import sys
from typing import Any

import pytest

from miniagents.errors import InvalidOptionError, MissingDependencyError
from miniagents.ext.llms import AnthropicAgent, OpenAIAgent
from miniagents.ext.serving import Served, agent_app
from miniagents.testing import FakeProvider
from tests.ext.serving.agents import echo
from tests.ext.serving.front_ends.chats import BODIES, ag_ui_body, asked, chat_app, ui_body
from tests.ext.serving.servers import TOKEN, in_process

TOOL = {"name": "ring", "description": "Rings.", "parameters": {"type": "object", "properties": {}}}


def test_an_unknown_front_end_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="'ag-ui', 'ai-sdk', not 'ag_ui'"):
        agent_app(echo, front_ends=("ag_ui",))  # type: ignore[arg-type]


def test_without_the_package_of_its_types_ag_ui_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ag_ui", None)
    for name in [name for name in sys.modules if name.startswith("miniagents.ext.serving.front_ends.ag_ui")]:
        monkeypatch.delitem(sys.modules, name)

    with pytest.raises(MissingDependencyError, match=r"miniagents\[ag-ui\]"):
        agent_app(echo, front_ends="ag-ui")  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", BODIES)
async def test_a_service_speaks_only_the_protocols_that_it_is_told_to(protocol: str) -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        assert (await client.post(f"/agents/echo/{protocol}", json=BODIES[protocol]())).status_code == 404


@pytest.mark.parametrize("protocol", BODIES)
async def test_clients_need_a_token_and_an_agent_that_is_there(protocol: str) -> None:
    async with in_process(chat_app()) as client:
        unknown = await client.post(f"/agents/nobody/{protocol}", json=BODIES[protocol]())
        client.headers["authorization"] = "Bearer wrong"
        stranger = await client.post(f"/agents/echo/{protocol}", json=BODIES[protocol]())

    assert (unknown.status_code, stranger.status_code) == (404, 401)


@pytest.mark.parametrize(
    ("protocol", "part"),
    [
        ("ag-ui", {"type": "audio", "source": {"type": "data", "value": "R0lG", "mimeType": "audio/wav"}}),
        ("ai-sdk", {"type": "file", "mediaType": "audio/wav", "url": "data:audio/wav;base64,R0lG"}),
    ],
)
async def test_sound_is_only_for_agents_that_want_it(protocol: str, part: dict[str, Any]) -> None:
    message = {"id": "1", "role": "user", ("content" if protocol == "ag-ui" else "parts"): [part]}

    async with in_process(chat_app()) as client:
        refused = await client.post(f"/agents/echo/{protocol}", json=BODIES[protocol](messages=[message]))

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unsupported_input")


async def test_the_stream_of_the_ai_sdk_names_its_protocol() -> None:
    async with in_process(chat_app()) as client:
        response = await client.post("/agents/echo/ai-sdk", json=ui_body())

    assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert response.text.endswith("data: [DONE]\n\n")


async def test_an_argument_that_the_agent_needs_comes_from_the_client() -> None:
    async with in_process(chat_app()) as client:
        missing = await client.post("/agents/weather/ag-ui", json=ag_ui_body())
        events = await asked(client, "ag-ui", "weather", forwardedProps={"city": "Rome", "unit": "F"})

    assert missing.status_code == 400
    assert events[1]["value"] == {"city": "Rome", "unit": "C", "degrees": 20}


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (OpenAIAgent, {"type": "function", "function": TOOL}),
        (AnthropicAgent, {"name": "ring", "description": "Rings.", "input_schema": TOOL["parameters"]}),
    ],
)
async def test_the_clients_tools_have_the_form_of_the_agents_own_api(kind: Any, sent: dict[str, Any]) -> None:
    with FakeProvider("Well.") as provider:
        options = provider.openai if kind is OpenAIAgent else provider.anthropic
        clerk = Served(kind.fork(alias="clerk", model="fake", **options), arguments=("tools",))
        async with in_process(chat_app(clerk)) as client:
            await asked(client, "ag-ui", "clerk", tools=[TOOL])
            await asked(client, "ag-ui", "clerk")
        first, second = [exchange.body for exchange in provider.exchanges]

    assert first["tools"] == [sent]
    assert "tools" not in second
