"""How a service starts, is mounted, drains and ends."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from miniagents import ChildSpec, InteractionContext, MiniAgents, OneForOne, Supervisor, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.serving import Limits, agent_app
from tests.ext.serving.agents import Held, echo, soon
from tests.ext.serving.servers import AUTH, TOKEN, in_process, served

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[3]


def client_for(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost", headers=AUTH)


async def test_it_runs_alone_and_again_after_its_end() -> None:
    app = agent_app(echo, auth=TOKEN, admin_auth=None)

    for _ in range(2):
        async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
            assert (await client.post("/agents/echo", json={})).status_code == 200
        assert not app.system.is_running


async def test_inside_another_app_its_lifespan_is_handed_on() -> None:
    agents = agent_app(echo, auth=TOKEN, admin_auth=None)
    app = FastAPI(lifespan=agents.lifespan)
    app.mount("/ai", agents)

    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        answer = await client.post("/ai/agents/echo", json={"messages": "Hi"})
        document = await client.get("/ai/openapi.json")
        missing = await client.get("/ai/nowhere")

    assert answer.json()["messages"][0]["text"] == "You said: Hi"
    assert document.json()["servers"] == [{"url": "/ai"}]
    assert missing.json()["error"]["message"] == "Not Found"


async def test_a_slash_at_the_end_of_a_path_changes_nothing() -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        listed = await client.get("/v1/models/")
        answer = await client.post("/agents/echo/", json={"messages": "Hi"})
        nowhere = await client.get("/")

    assert [one.status_code for one in (listed, answer, nowhere)] == [200, 200, 404]


async def test_its_lifespan_is_combined_with_ones_own() -> None:
    agents = agent_app(echo, auth=TOKEN, admin_auth=None)
    order = []

    @asynccontextmanager
    async def lifespan(app: Any) -> Any:
        order.append("own begins")
        async with agents.lifespan(app):
            yield
        order.append(f"own ends, system runs: {agents.system.is_running}")

    app = Starlette(lifespan=lifespan, routes=[Mount("/ai", agents)])
    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        assert (await client.post("/ai/agents/echo", json={})).status_code == 200

    assert order == ["own begins", "own ends, system runs: False"]


async def test_without_its_lifespan_it_says_what_to_do(log: list[Any]) -> None:
    app = FastAPI()
    app.mount("/ai", agent_app(echo, auth=TOKEN, admin_auth=None))

    async with client_for(app) as client:
        answer = await client.post("/ai/agents/echo", json={})
        ready = await client.get("/ai/readyz")

    assert (answer.status_code, ready.status_code, ready.json()) == (503, 503, {"status": "starting"})
    assert "FastAPI(lifespan=agents.lifespan)" in log[0]["event"]


async def test_a_system_that_runs_already_is_used_and_not_stopped() -> None:
    async with MiniAgents() as system:
        app = agent_app(echo, auth=TOKEN, admin_auth=None, system=system)
        async with in_process(app) as client:
            assert (await client.post("/agents/echo", json={})).status_code == 200
        assert system.is_running
        assert str(await echo.inquire("Hi")) == "You said: Hi"


async def test_what_must_be_there_is_started_before_it_is_ready_and_stopped_in_reverse() -> None:
    order = []

    @miniagent
    class Worker:
        def __init__(self, name: str) -> None:
            order.append(f"{name} starts")

        async def __call__(self, ctx: InteractionContext) -> None:
            ctx.reply("done")

    async def start(system: MiniAgents) -> None:
        children = [ChildSpec(name, Worker, kwargs={"name": name}) for name in ("first", "second")]
        await system.supervise(Supervisor("swarm", strategy=OneForOne(), children=children))
        order.append("started")

    app = agent_app({"worker": "/swarm/second"}, auth=TOKEN, admin_auth=None, on_start=start)
    async with in_process(app) as client:
        answer = await client.post("/agents/worker", json={})

    assert order == ["first starts", "second starts", "started"]
    assert answer.json()["messages"][0]["text"] == "done"


async def test_a_start_that_fails_is_raised_and_stops_what_has_started() -> None:
    async def start(system: MiniAgents) -> None:
        system.spawn(echo, name="echo")
        raise ValueError("no database")

    app = agent_app(echo, auth=TOKEN, admin_auth=None, on_start=start)
    with pytest.raises(ValueError, match="no database"):
        async with app.lifespan():
            pass

    assert not app.system.is_running


async def test_a_system_that_has_failed_is_neither_alive_nor_ready() -> None:
    @miniagent
    class Broken:
        async def __call__(self, ctx: InteractionContext) -> None:
            raise ValueError("broken")

    async def start(system: MiniAgents) -> None:
        children = [ChildSpec("broken", Broken)]
        await system.supervise(Supervisor("swarm", strategy=OneForOne(max_restarts=0), children=children))

    app = agent_app({"broken": "/swarm/broken"}, auth=TOKEN, admin_auth=None, on_start=start)
    async with in_process(app) as client:
        await client.post("/agents/broken", json={})
        await app.system.terminated()
        answers = [await client.get("/healthz"), await client.get("/readyz")]

    assert [(one.status_code, one.json()) for one in answers] == [(503, {"status": "failed"})] * 2


async def test_while_it_drains_it_is_not_ready_takes_nothing_new_and_finishes_what_it_has() -> None:
    held = Held()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None, grace=60)
    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        running = asyncio.create_task(client.post("/agents/held", json={}))
        await soon(held.waiting)
        os.kill(os.getpid(), signal.SIGTERM)
        while (ready := await client.get("/readyz")).status_code == 200:
            pass
        alive = await client.get("/healthz")
        refused = await client.post("/agents/held", json={})
        held.let_go.set()
        answer = await running

    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
    assert (alive.status_code, refused.status_code, refused.headers["retry-after"]) == (200, 503, "1")
    assert [one["text"] for one in answer.json()["messages"]] == ["begun", "done"]


async def test_after_the_grace_what_is_under_way_is_cut_off_and_told_so() -> None:
    held = Held()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None, grace=0.05)
    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        plain = asyncio.create_task(client.post("/agents/held", json={}))
        stream = asyncio.create_task(client.post("/agents/held", json={"stream": True}))
        background = await client.post("/v1/responses", json={"model": "held", "input": "Hi", "background": True})
        await soon(held.waiting)
        os.kill(os.getpid(), signal.SIGTERM)
        answer, streamed = await plain, await stream

    assert background.status_code == 200
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")
    assert "event: error" in streamed.text
    assert held.cancelled.is_set()


@pytest.mark.parametrize("grace", [-1, float("nan")])
def test_a_grace_below_nothing_is_refused(grace: float) -> None:
    with pytest.raises(InvalidOptionError, match="grace="):
        agent_app(echo, grace=grace)


@pytest.mark.parametrize(
    "options",
    [
        {"body": 0},
        {"depth": 0},
        {"concurrent": 0},
        {"request_timeout": 0},
        {"keep": -1},
        {"ping": 0},
        {"body_timeout": 0},
    ],
)
def test_a_limit_outside_of_its_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError, match=next(iter(options))):
        Limits(**options)


SERVICE = """
    import asyncio, sys
    from miniagents import miniagent

    @miniagent
    async def slow(ctx):
        "Takes its time."
        ctx.reply("begun")
        await asyncio.sleep(float(str(await ctx.message_promises)))
        ctx.reply("done")
        print("the agent is done", file=sys.stderr, flush=True)

    @miniagent
    async def stubborn(ctx):
        "Swallows its cancellation for ever."
        ctx.reply("begun")
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                pass

    both = [slow, stubborn]
"""


@pytest.fixture
def service(tmp_path: Path) -> Any:
    """A process that runs `miniagents serve`: the process, its address, its token."""
    (tmp_path / "slow_service.py").write_text(textwrap.dedent(SERVICE))
    command = [
        sys.executable,
        "-m",
        "miniagents.ext.serving.command",
        "slow_service:both",
        "--port",
        "0",
        "--grace",
        "5",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: Any, what: str) -> str:
    """The first line of a process that has this in it, or its last one."""
    line = ""
    for line in process.stderr:
        if what in line:
            break
    return str(line)


def test_the_command_serves_an_agent_and_sigterm_lets_it_finish(service: Any) -> None:
    token = read_until(service, "the token of").split()[-1]
    admin = read_until(service, "the admin token of").split()[-1]
    url = read_until(service, "running on").split("running on ")[1].split(" ")[0]

    body = {"messages": "0.5", "stream": True}
    with (
        httpx2.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=30) as client,
        client.stream("POST", "/agents/slow", json=body) as answer,
    ):
        lines = answer.iter_lines()
        while "event: message" not in next(lines):
            pass
        listed = client.get("/interactions", headers={"authorization": f"Bearer {admin}"}).json()["interactions"]
        service.send_signal(signal.SIGTERM)
        rest = list(lines)

    assert [one["agent"] for one in listed] == ["/agents/slow"]
    assert "event: end" in rest
    assert "the agent is done" in read_until(service, "the agent is done")
    assert service.wait(30) == 0


def test_a_client_that_is_slow_for_ever_does_not_keep_the_command_from_ending(service: Any) -> None:
    token = read_until(service, "the token of").split()[-1]
    url = read_until(service, "running on").split("running on ")[1].split(" ")[0]

    head = f"POST /agents/slow HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as slow, httpx2.Client() as client:
        slow.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{{".encode())
        assert client.get(f"{url}/readyz").status_code == 200  # it has seen the connection before this one
        service.send_signal(signal.SIGTERM)
        while client.get(f"{url}/readyz").status_code == 200:
            pass
        service.send_signal(signal.SIGTERM)  # the grace is over
        assert service.wait(30) == 0


@contextmanager
def a_stream_under_way(service: Any, path: str, messages: str) -> Iterator[tuple[httpx2.Client, Iterator[str]]]:
    """A client of the command, and the lines of an answer that has begun."""
    token = read_until(service, "the token of").split()[-1]
    url = read_until(service, "running on").split("running on ")[1].split(" ")[0]
    with (
        httpx2.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=30) as client,
        client.stream("POST", path, json={"messages": messages, "stream": True}) as answer,
    ):
        lines = answer.iter_lines()
        while "event: message" not in next(lines):
            pass
        yield client, lines


OWN_ROUTE = """
    import asyncio
    from fastapi import FastAPI
    from miniagents import miniagent
    from miniagents.ext.serving import agent_app

    @miniagent
    async def slow(ctx):
        print("the agent has begun", flush=True)
        await asyncio.sleep(1.0)
        ctx.reply("done")

    agents = agent_app(slow, auth="a-token", admin_auth=None, grace=20)
    app = FastAPI(lifespan=agents.lifespan)
    app.mount("/ai", agents)

    @app.get("/advice")
    async def advice():
        return str(await agents.track(slow.inquire()))
"""


def test_the_command_waits_for_tracked_calls_of_routes_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own_route.py").write_text(textwrap.dedent(OWN_ROUTE))
    command = [sys.executable, "-m", "miniagents.ext.serving.command", "own_route:app", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True) as process,
        ThreadPoolExecutor(1) as threads,
    ):
        try:
            url = read_until(process, "running on").split("running on ")[1].split(" ")[0]
            asking = threads.submit(httpx2.get, f"{url}/advice", timeout=30)
            assert process.stdout is not None
            assert process.stdout.readline() == "the agent has begun\n"
            process.terminate()
            while (ready := httpx2.get(f"{url}/ai/readyz")).status_code == 200:
                pass
            answer = asking.result()
            status = process.wait(30)
        finally:
            process.kill()

    assert ready.json() == {"status": "draining"}
    assert (answer.status_code, answer.json(), status) == (200, "done", 0)


def test_a_second_signal_ends_the_grace(service: Any) -> None:
    with a_stream_under_way(service, "/agents/slow", "600") as (client, lines):
        service.send_signal(signal.SIGTERM)
        while client.get("/readyz").status_code == 200:
            pass
        service.send_signal(signal.SIGTERM)
        rest = list(lines)

    assert "event: error" in rest
    assert service.wait(30) == 0


def test_an_agent_that_swallows_its_cancellation_keeps_neither_its_client_nor_the_command_from_ending(
    service: Any,
) -> None:
    with a_stream_under_way(service, "/agents/stubborn", "Hi") as (client, lines):
        service.send_signal(signal.SIGTERM)
        while client.get("/readyz").status_code == 200:
            pass
        service.send_signal(signal.SIGTERM)  # the grace is over
        rest = list(lines)

    assert "event: error" in rest
    assert service.wait(30) == 0
    (said,) = [line for line in service.stderr if "shutdown.abandoned" in line]
    assert "actor=/agents/stubborn" in said


def test_a_thread_that_hangs_does_not_keep_the_command_from_ending(service: Any) -> None:
    with a_stream_under_way(service, "/agents/slow", "hang") as (_, lines):
        service.send_signal(signal.SIGTERM)
        rest = list(lines)

    assert "event: error" in rest
    assert service.wait(30) == 0
