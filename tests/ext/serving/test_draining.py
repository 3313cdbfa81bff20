"""What clients are told by a service that stops, and how calls in routes of one's own are part of it."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import websockets
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.errors import ActorStoppedError, InvalidOptionError, PromiseCancelledError, ServiceStoppingError
from miniagents.ext.serving import AgentApp, agent_app
from miniagents.journal import MemoryJournal, SqliteJournal
from miniagents.promising import Promise
from tests.ext.serving.agents import Held, echo, soon
from tests.ext.serving.clients import Client
from tests.ext.serving.servers import AUTH, TOKEN, in_process, served

pytestmark = pytest.mark.real_time

HELLO: Any = [{"role": "user", "content": "Hi"}]
STOPPING = "The server is stopping."


def told_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def until(is_so: Any) -> None:
    """Wait until something is so; the ceiling is there only so that a failure does not hang."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0)


@asynccontextmanager
async def stopped_with_it(*asks: Any, grace: float = 0.05) -> AsyncIterator[list[Any]]:
    """The answers to requests that were under way when the grace was over."""
    held = Held()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None, grace=grace)
    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        running = [asyncio.create_task(client.post(path, json=body)) for path, body in asks]
        await until(lambda: len(app.system.interactions()) == len(asks))
        told_to_stop()
        yield [await one for one in running]


WHOLE = [
    ("/agents/held", {}),
    ("/agents/held", {"conversation": "c1"}),
    ("/v1/chat/completions", {"model": "held", "messages": HELLO}),
    ("/v1/responses", {"model": "held", "input": "Hi"}),
    ("/v1/messages", {"model": "held", "max_tokens": 9, "messages": HELLO}),
]


@pytest.mark.parametrize(("path", "body"), WHOLE)
async def test_a_whole_answer_that_is_cut_off_is_a_503_that_says_why_and_may_be_tried_again(
    path: str, body: dict[str, Any]
) -> None:
    async with stopped_with_it((path, body)) as (answer,):
        pass

    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == STOPPING
    assert "messages" in path or answer.json()["error"]["code"] == "stopping"
    assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("1", "true")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(("path", "body"), WHOLE)
async def test_a_stream_that_is_cut_off_says_why_in_its_last_event(path: str, body: dict[str, Any]) -> None:
    async with stopped_with_it((path, {**body, "stream": True})) as (answer,):
        pass

    last = json.loads([line for line in answer.text.splitlines() if line.startswith("data: ")][-1][6:])
    assert answer.status_code == 200
    error = last["response"]["error"] if "response" in last else last["error"]
    assert error["message"] == STOPPING


async def test_a_websocket_that_is_cut_off_says_why_and_is_closed_with_503() -> None:
    held = Held()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None, grace=0.05)
    async with (
        served(app) as url,
        websockets.connect(url.replace("http", "ws") + "/agents/held", additional_headers=AUTH) as silent,
        websockets.connect(url.replace("http", "ws") + "/agents/held", additional_headers=AUTH) as socket,
    ):
        await socket.send(json.dumps({"type": "finish"}))
        await soon(held.waiting)
        told_to_stop()
        async with asyncio.timeout(10):
            last = [[json.loads(text) async for text in _until_closed(one)][-1] for one in (silent, socket)]

    assert [one["error"]["code"] for one in last] == ["stopping", "stopping"]
    assert [silent.close_code, socket.close_code] == [4503, 4503]


async def _until_closed(socket: Any) -> AsyncIterator[Any]:
    try:
        while True:
            yield await socket.recv()
    except websockets.ConnectionClosed:
        pass


async def test_what_waits_for_its_turn_or_sends_its_body_when_the_grace_is_over_is_told_so_too() -> None:
    @miniagent
    async def stubborn(ctx: InteractionContext) -> None:
        ctx.reply("begun")
        begun.set()
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                pass

    begun, let_go = asyncio.Event(), asyncio.Event()
    app = agent_app(stubborn, auth=TOKEN, admin_auth=None, grace=5)
    async with app.lifespan():
        running = Client(app, "/agents/stubborn", {"conversation": "c1"})
        await soon(begun)
        waiting = Client(app, "/agents/stubborn", {"conversation": "c1"})
        slow = Client(app, "/agents/stubborn", b"{...")
        await until(lambda: app._service.gate.inside == 3)
        draining = app._drain.begin()
        await asyncio.sleep(0)
        app._drain.hurry()
        async with asyncio.timeout(10):
            await asyncio.gather(running.asking, waiting.asking, slow.asking)
            await draining
        let_go.set()

    assert [one.status for one in (running, waiting, slow)] == [503, 503, 503]
    assert {json.loads(one.body)["error"]["code"] for one in (running, waiting, slow)} == {"stopping"}


async def test_an_actor_that_is_gone_while_the_service_stops_is_no_fault_of_the_agent() -> None:
    held = Held()
    ended = asyncio.Event()

    @miniagent
    async def bereft(ctx: InteractionContext) -> None:
        ctx.reply(held.agent.inquire())
        await ended.wait()
        raise ActorStoppedError("gone")

    app = agent_app(bereft, auth=TOKEN, admin_auth=None)
    async with app.lifespan():
        asking = Client(app, "/agents/bereft", {})
        await soon(held.waiting)
        app._drain.begin()
        ended.set()
        held.let_go.set()
        await asking.asking

    assert (asking.status, json.loads(asking.body)["error"]["code"]) == (503, "stopping")


class Balancer(httpx2.AsyncBaseTransport):
    """Sends the first request to the first server, and all others to the second one."""

    def __init__(self, *urls: str) -> None:
        self.ports = [httpx2.URL(url).port for url in urls]
        self.statuses: list[int] = []
        self._inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(port=self.ports[bool(self.statuses)])
        self.statuses.append(0)
        answer = await self._inner.handle_async_request(request)
        self.statuses[-1] = answer.status_code
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
@pytest.mark.parametrize("when", ["cut off", "refused"])
async def test_the_official_sdks_try_again_at_another_instance(sdk: str, when: str) -> None:
    held, other = Held(), Held()
    other.let_go.set()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None, grace=0.05 if when == "cut off" else 60)
    async with served(agent_app(other.agent, auth=TOKEN, admin_auth=None)) as second, served(app) as first:
        balancer = Balancer(first, second)
        if when == "refused":  # something is under way, and the service drains
            running = Client(app, "/agents/held", {})
            await soon(held.waiting)
            told_to_stop()
            await until(lambda: app._service.gate.is_draining)
        options: dict[str, Any] = {"api_key": TOKEN, "http_client": httpx2.AsyncClient(transport=balancer)}
        if sdk == "openai":
            async with openai.AsyncOpenAI(base_url="http://localhost/v1", **options) as client:
                asking = asyncio.create_task(client.chat.completions.create(model="held", messages=HELLO))
                if when == "cut off":
                    await soon(held.waiting)
                    told_to_stop()
                said = (await asking).choices[0].message.content
        else:
            async with anthropic.AsyncAnthropic(base_url="http://localhost", **options) as claude:
                asked = asyncio.create_task(claude.messages.create(model="held", max_tokens=9, messages=HELLO))
                if when == "cut off":
                    await soon(held.waiting)
                    told_to_stop()
                said = "\n\n".join(block.text for block in (await asked).content if block.type == "text")
        held.let_go.set()
        if when == "refused":
            await running.asking

    assert balancer.statuses == [503, 200]
    assert said == "begun\n\ndone"


class Shop:
    """A service of one's own: its route asks the agent, and asks `echo` what came of it."""

    def __init__(self, *, grace: float = 60, asks_again: bool = False) -> None:
        self.held = Held()
        self.agents: AgentApp = agent_app([self.held.agent, echo], auth=TOKEN, admin_auth=None, grace=grace)
        self.app = app = FastAPI(lifespan=self.agents.lifespan)
        app.mount("/ai", self.agents)

        @app.get("/advice")
        async def advice() -> str:
            said = str(await self.agents.track(self.held.agent.inquire()))
            return str(await self.agents.track(echo.inquire(said))) if asks_again else said

        @app.exception_handler(ServiceStoppingError)
        async def stopping(request: Any, error: ServiceStoppingError) -> JSONResponse:
            return JSONResponse({"error": str(error)}, 503, {"retry-after": "1"})


async def test_a_service_that_stops_waits_for_tracked_calls_of_routes_of_ones_own_and_takes_no_new_ones() -> None:
    shop = Shop(asks_again=True)
    async with served(shop.app) as url, httpx2.AsyncClient(base_url=url) as client:
        running = asyncio.create_task(client.get("/advice"))
        await soon(shop.held.waiting)
        told_to_stop()
        while (ready := await client.get("/ai/readyz")).status_code == 200:
            pass
        refused = await client.get("/advice")
        is_there = shop.agents.system.is_running
        shop.held.let_go.set()
        answer = await running

    assert (ready.json(), is_there) == ({"status": "draining"}, True)
    assert (refused.status_code, "accepts no more calls" in refused.text) == (503, True)
    assert (answer.status_code, answer.json()) == (200, "You said: begun\n\ndone")
    assert len(shop.agents._service.tracking) == 0


async def test_after_the_grace_tracked_calls_are_cut_off_and_their_routes_can_say_so() -> None:
    shop = Shop(grace=0.05)
    async with served(shop.app) as url, httpx2.AsyncClient(base_url=url) as client:
        running = asyncio.create_task(client.get("/advice"))
        await soon(shop.held.waiting)
        told_to_stop()
        answer = await running

    assert (answer.status_code, "its grace has expired" in answer.text) == (503, True)
    assert shop.held.cancelled.is_set()


async def test_a_tracked_call_is_the_promise_that_was_given_and_may_have_settled_or_fail() -> None:
    app = agent_app(echo, auth=TOKEN, admin_auth=None)
    async with in_process(app):
        promise = echo.inquire("Hi")
        assert app.track(promise) is promise
        assert str(await promise) == "You said: Hi"
        assert app.track(promise) is promise
        lost = app.track(Held().agent.inquire())
        lost.cancel("for this test")
        with pytest.raises(PromiseCancelledError):
            await lost
        assert len(app._service.tracking) == 0


@pytest.mark.parametrize("derived", [False, True])
async def test_a_tracked_call_that_is_cut_off_fails_with_that_whatever_its_agent_does(derived: bool) -> None:
    begun, let_go = asyncio.Event(), asyncio.Event()

    @miniagent
    async def stubborn(ctx: InteractionContext) -> None:
        begun.set()
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                cancelled.set()

    cancelled = asyncio.Event()
    app = agent_app(stubborn, auth=TOKEN, admin_auth=None, grace=0.05)
    async with app.lifespan():
        replies = stubborn.inquire()
        promise = app.track(replies.answer() if derived else replies)
        await soon(begun)
        await app._drain.begin()
        with pytest.raises(ServiceStoppingError, match="its grace has expired"):
            await promise
        assert derived or cancelled.is_set()  # what others may read goes on until the system ends
    assert cancelled.is_set()
    let_go.set()


async def test_what_is_no_promise_cannot_be_tracked() -> None:
    app = agent_app(echo, auth=TOKEN, admin_auth=None)
    with pytest.raises(InvalidOptionError, match=r"track\(\) takes a promise"):
        app.track(echo)  # type: ignore[type-var]


async def test_a_call_that_comes_too_late_does_not_run() -> None:
    held = Held()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None)
    async with app.lifespan():
        running = app.track(echo.inquire("Hi"))  # this request may go on
        app._drain.begin()
        assert isinstance(app.track(echo.inquire("Hi")), Promise)
        await running

        async def another_request() -> None:
            app.track(held.agent.inquire())

        app._service.gate.cut_off()
        with pytest.raises(ServiceStoppingError):
            await another_request()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not held.waiting.is_set()


@miniagent(durable=True)
async def asks(ctx: InteractionContext) -> None:
    ctx.reply(f"got {await ctx.wait_for('approval')}")


async def test_a_service_that_stops_does_not_wait_for_jobs_that_only_wait(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    app = agent_app(echo, auth=TOKEN, admin_auth=None, grace=3600.0, system=MiniAgents(journal=SqliteJournal(path)))
    async with asyncio.timeout(60), served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        replies = app.system.run_job("j", asks)
        while not await app.system.pending():  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0)
        assert (await client.post("/agents/echo", json={})).status_code == 200
        told_to_stop()
    with pytest.raises(PromiseCancelledError, match="the system ends"):
        await replies

    async with MiniAgents(journal=SqliteJournal(path)) as mini:
        resumed = await mini.resume_all()
        await mini.deliver("j", "approval", "yes")
        assert str(await resumed["j"]) == "got yes"


async def test_a_service_that_stops_waits_for_a_job_that_works() -> None:
    begun, let_go = asyncio.Event(), asyncio.Event()

    @miniagent(durable=True)
    async def asks_and_works(ctx: InteractionContext) -> None:
        approval = asks.inquire()
        begun.set()
        await let_go.wait()
        ctx.reply("done")
        await approval.aclose()

    app = agent_app(echo, auth=TOKEN, admin_auth=None, grace=60.0, system=MiniAgents(journal=MemoryJournal()))
    async with app.lifespan():
        replies = app.system.run_job("j", asks_and_works)
        await soon(begun)
        asyncio.get_running_loop().call_later(0.3, let_go.set)  # the service is stopping meanwhile
    assert str(replies.result()) == "done"
