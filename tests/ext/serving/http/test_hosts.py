"""By which names a service may be called, and what those are told who call it by another one."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anthropic
import httpx2
import openai
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from miniagents.errors import InvalidOptionError
from miniagents.ext.serving import agent_app, command
from tests.ext.serving.agents import echo
from tests.ext.serving.servers import AUTH, TOKEN, in_process, served

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[4]
EVERYWHERE = "0.0.0.0"
PROBES = ("/healthz", "/readyz")


@contextmanager
def command_running(*arguments: str, **environment: str) -> Iterator[tuple[int, str]]:
    """`miniagents serve` with these arguments: its port, and what it said until it listened."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "miniagents.ext.serving.command",
            "tests.ext.serving.agents:echo",
            "--port",
            "0",
            *arguments,
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MINIAGENTS_TOKEN": TOKEN, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"running on \S+:(\d+)", line):
                yield int(found[1]), said
                break
        else:
            raise AssertionError(said)
    finally:
        process.kill()
        process.communicate()


def asked(port: int, host: str, path: str = "/agents") -> httpx2.Response:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers={**AUTH, "host": host}, trust_env=False) as client:
        return client.get(path)


def test_a_service_that_listens_everywhere_answers_probes_by_any_name_and_says_how_to_allow_more() -> None:
    with command_running("--host", EVERYWHERE) as (port, said):
        probes = [asked(port, host, path) for host in ("10.1.2.3:80", "agents.internal") for path in PROBES]
        refused = asked(port, "agents.internal:8000")
        local = asked(port, "localhost")

    assert [one.status_code for one in probes] == [200] * 4
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "host_not_allowed")
    assert "'agents.internal:8000'" in refused.json()["error"]["message"]
    assert "--allowed-host" in refused.json()["error"]["message"]
    assert "MINIAGENTS_ALLOWED_HOSTS" in refused.json()["error"]["message"]
    assert local.status_code == 200
    assert f"warning: listening at {EVERYWHERE}" in said
    assert "--allowed-host" in said


def test_names_are_allowed_on_the_command_line_and_by_the_environment() -> None:
    arguments = ("--host", EVERYWHERE, "--allowed-host", "agents.internal", "--allowed-host", "10.1.2.3")
    with command_running(*arguments, MINIAGENTS_ALLOWED_HOSTS="*.example.com, fd00::7, [fd00::8]") as (port, said):
        hosts = ["agents.internal", "10.1.2.3:8000", "chat.example.com", "[fd00::7]:80", "[fd00::8]", "localhost"]
        hosts += ["other.internal", "evilexample.com", "[fd00::9]"]
        statuses = [asked(port, host).status_code for host in hosts]

    assert statuses == [200] * 6 + [400] * 3
    assert "warning" not in said


def test_the_official_sdks_reach_a_service_by_a_name_that_is_allowed() -> None:
    with command_running("--allowed-host", "agents.internal") as (port, _):
        options = {"api_key": TOKEN, "default_headers": {"host": "agents.internal"}, "max_retries": 0}
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", **options) as client:  # type: ignore[arg-type]
            chat = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "Hi"}])
        with anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", **options) as claude:  # type: ignore[arg-type]
            asked = [{"role": "user", "content": "Hi"}]
            said = claude.messages.create(model="echo", max_tokens=9, messages=asked)  # type: ignore[arg-type]

    assert chat.choices[0].message.content == "You said: Hi"
    assert said.content[0].text == "You said: Hi"  # type: ignore[union-attr]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_service_that_only_its_machine_reaches_warns_of_nothing(host: str) -> None:
    with command_running("--host", host) as (_, said):
        assert "warning" not in said


NO_NAMES = ["http://agents.example.com", "agents.example.com:80", "a b", "", "*example.com", "a.*.com", "a/b", "me@a"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_is_refused_at_the_start(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidOptionError, match="allowed_hosts= takes names without scheme and port"):
        agent_app(echo, allowed_hosts=[name])
    assert command.main(["tests.ext.serving.agents:echo", f"--allowed-host={name}"]) == 2
    assert "miniagents serve: --allowed-host takes names" in capsys.readouterr().err
    if name:
        monkeypatch.setenv("MINIAGENTS_ALLOWED_HOSTS", name)
        with pytest.raises(InvalidOptionError, match="MINIAGENTS_ALLOWED_HOSTS takes names"):
            agent_app(echo)


async def test_names_that_the_code_gives_come_before_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIAGENTS_ALLOWED_HOSTS", "agents.internal,")
    hosts = ["agents.internal", "agents.example.com", "localhost"]
    statuses = []
    for app in (agent_app(echo, auth=TOKEN), agent_app(echo, auth=TOKEN, allowed_hosts="agents.example.com")):
        async with in_process(app) as client:
            statuses.append([(await client.get("/agents", headers={"host": host})).status_code for host in hosts])

    assert statuses == [[200, 400, 200], [400, 200, 400]]


async def test_a_name_of_any_length_and_none_at_all_are_refused_and_any_is_taken_where_any_is_allowed() -> None:
    async with in_process(agent_app(echo, auth=TOKEN)) as client:
        long = await client.get("/agents", headers={"host": "x" * 5000})
        twice = await client.get("/agents", headers=[("host", "localhost"), ("host", "evil.example"), *AUTH.items()])
    async with in_process(agent_app(echo, auth=TOKEN, allowed_hosts=["*"])) as client:
        any_name = await client.get("/agents", headers={"host": "any.thing:1"})

    assert (long.status_code, twice.status_code, any_name.status_code) == (400, 400, 200)
    assert len(long.text) < 500


async def test_probes_are_free_of_the_check_inside_another_app_too_and_nothing_else_is() -> None:
    agents = agent_app(echo, auth=TOKEN, admin_auth=None)
    app = FastAPI(lifespan=agents.lifespan)
    app.mount("/ai", agents)
    paths = ["/ai/healthz", "/ai/readyz", "/ai/readyz/", "/ai/agents", "/ai/agents/healthz", "/ai/nowhere"]

    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers={**AUTH, "host": "10.1.2.3"}) as client:
        statuses = [(await client.get(path)).status_code for path in paths]

    assert statuses == [200, 200, 200, 400, 400, 400]


def test_the_test_client_of_fastapi_works_as_it_is() -> None:
    agents = agent_app(echo, auth=TOKEN, admin_auth=None)
    app = FastAPI(lifespan=agents.lifespan)
    app.mount("/ai", agents)

    with TestClient(app, headers=AUTH) as client:
        answer = client.post("/ai/agents/echo", json={"messages": "Hi"})
        with client.websocket_connect("/ai/agents/echo") as socket:
            socket.send_json({"type": "finish"})
            opened = socket.receive_json()
        other = client.get("/ai/agents", headers={"host": "evil.example"})

    assert answer.json()["messages"][0]["text"] == "You said: Hi"
    assert opened["type"] == "open"
    assert other.status_code == 400


async def test_the_name_of_the_test_client_is_no_way_in_over_a_network() -> None:
    async with served(agent_app(echo, auth=TOKEN, admin_auth=None)) as url, httpx2.AsyncClient(base_url=url) as client:
        named = await client.get("/agents", headers={**AUTH, "host": "testserver"})
        forwarded = await client.get(
            "/agents", headers={**AUTH, "host": "evil.example", "x-forwarded-for": "testclient"}
        )

    assert (named.status_code, forwarded.status_code) == (400, 400)
