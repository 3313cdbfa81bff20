"""The service among the examples, run by uvicorn as its reader would, and used with OpenAI's own SDK over sockets."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from miniagents.testing import Call, FakeProvider, Reply

ROOT = Path(__file__).parents[2]

# Importing an SDK takes seconds where the machine is busy.
pytestmark = [pytest.mark.real_time, pytest.mark.timeout(120)]


@dataclass
class Service:
    """A service that runs: its process, its address, its tokens."""

    process: "subprocess.Popen[str]"
    url: str
    token: str
    admin_token: str


@pytest.fixture
def service(fake_provider: FakeProvider) -> Iterator[Service]:
    environment = {
        **os.environ,
        "MODEL": "openai:fake-1",
        "OPENAI_API_KEY": "fake-key",
        "OPENAI_BASE_URL": fake_provider.openai_url,
    }
    command = [sys.executable, "-m", "uvicorn", "examples.service.app:app", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = ""
            while "running on" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            tokens = re.findall(r"token of this service is (\S+)", said)
            yield Service(process, re.findall(r"running on (\S+)", said)[0], *tokens)
        finally:
            process.kill()


def test_it_serves_clients_of_openai_its_own_endpoints_and_stops_in_order(
    service: Service, fake_provider: FakeProvider
) -> None:
    fake_provider.reset(Reply(calls=(Call("price", {"article": "tea"}),)), "Tea costs 3.50 euros.")
    messages: Any = [{"role": "user", "content": "How much is tea?"}]

    with openai.OpenAI(base_url=f"{service.url}/ai/v1", api_key=service.token, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["clerk", "orders"]
        stream = client.chat.completions.create(
            model="clerk",
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)

    async def ask() -> str:
        async with openai.AsyncOpenAI(base_url=f"{service.url}/ai/v1", api_key=service.token) as client:
            response = await client.responses.create(model="clerk", input="And coffee?")
            return response.output_text

    answer = asyncio.run(ask())
    with httpx2.Client(base_url=service.url, headers={"authorization": f"Bearer {service.token}"}) as client_of_ours:
        orders = [
            client_of_ours.post("/ai/agents/orders", json={"arguments": {"article": "tea"}}).json() for _ in range(2)
        ]
        advice = client_of_ours.get("/advice", params={"about": "tea"}).json()
        streamed = client_of_ours.post("/ask", json={"question": "How much is tea?"})
        page, script = client_of_ours.get("/"), client_of_ours.get("/events.mjs")
        running = client_of_ours.get("/ai/interactions", headers={"authorization": f"Bearer {service.admin_token}"})
    service.process.send_signal(signal.SIGTERM)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == answer == advice["advice"] == "Tea costs 3.50 euros."
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert '"text":"Tea costs 3.50 euros."' in streamed.text
    assert streamed.text.rstrip().rpartition("event: ")[2].startswith("end")
    assert page.headers["content-type"].startswith("text/html")
    assert script.headers["content-type"].startswith("text/javascript")
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 7
    assert fake_provider.exchanges[1].body["messages"][-1]["content"] == "3.50"
    assert [one["messages"][0]["data"]["order"] for one in orders] == [1, 2]
    assert running.json() == {"interactions": []}
    assert service.process.wait(30) == -signal.SIGTERM
