"""What runs, and how it is stopped."""

import asyncio

import httpx2
import pytest

from miniagents import InteractionContext, miniagent
from miniagents.ext.serving import agent_app
from miniagents.testing import Reply, Script, ScriptedModel
from tests.ext.serving.agents import Held, soon
from tests.ext.serving.servers import ADMIN, ADMIN_AUTH, AUTH, TOKEN, served

pytestmark = pytest.mark.real_time


async def test_what_runs_is_listed_with_its_parent_its_age_and_what_it_used() -> None:
    held = Held()
    model = ScriptedModel.fork(model="gpt-4o-mini", script=Script(Reply("one two", input_tokens=1000)))

    @miniagent
    async def top(ctx: InteractionContext) -> None:
        await model.inquire("Hi")
        ctx.reply(held.agent.inquire(label="the slow one"))

    app = agent_app(top, auth={"ann": TOKEN}, admin_auth=ADMIN)
    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        asking = asyncio.create_task(client.post("/agents/top", json={}))
        await soon(held.waiting)
        listed = (await client.get("/interactions", headers=ADMIN_AUTH)).json()["interactions"]
        held.let_go.set()
        await asking
        after = (await client.get("/interactions", headers=ADMIN_AUTH)).json()

    ages = [one.pop("age") for one in listed]
    assert all(0 <= age < 10 for age in ages)
    assert listed == [
        {
            "id": 1,
            "agent": "/agents/top",
            "parent": None,
            "tokens": 1002,
            "cost": pytest.approx(0.0001512),
            "state": "running",
            "label": None,
            "key": "ann",
        },
        {
            "id": 3,
            "agent": "/agents/held",
            "parent": 1,
            "tokens": 0,
            "cost": 0.0,
            "state": "running",
            "label": "the slow one",
            "key": None,
        },
    ]
    assert after == {"interactions": []}


async def test_stopping_answers_when_everything_below_has_stopped() -> None:
    ended = asyncio.Event()
    waiting = asyncio.Event()

    @miniagent
    async def slow_to_stop(ctx: InteractionContext) -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            ended.set()

    @miniagent
    async def top(ctx: InteractionContext) -> None:
        ctx.reply(slow_to_stop.inquire())

    app = agent_app(top, auth=TOKEN, admin_auth=ADMIN)
    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        asking = asyncio.create_task(client.post("/agents/top", json={}))
        await soon(waiting)
        stopped = await client.delete("/interactions/1", headers=ADMIN_AUTH)
        had_ended = ended.is_set()
        answer = await asking

    assert (stopped.status_code, stopped.json()) == (200, {"id": 1, "abandoned": []})
    assert had_ended
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "cancelled")
    assert answer.headers["x-should-retry"] == "false"


async def test_what_does_not_stop_is_reported_after_the_grace() -> None:
    held = asyncio.Event()
    waiting = asyncio.Event()

    @miniagent
    async def stubborn(ctx: InteractionContext) -> None:
        waiting.set()
        while not held.is_set():
            try:
                await held.wait()
            except asyncio.CancelledError:
                pass

    app = agent_app(stubborn, auth=TOKEN, admin_auth=ADMIN)
    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        asking = asyncio.create_task(client.post("/agents/stubborn", json={}))
        await soon(waiting)
        stopped = await client.delete("/interactions/1", params={"grace": 0.01}, headers=ADMIN_AUTH)
        listed = await client.get("/interactions", headers=ADMIN_AUTH)
        answer = await asking
        held.set()

    (abandoned,) = stopped.json()["abandoned"]
    assert (abandoned["id"], abandoned["agent"], abandoned["state"]) == (1, "/agents/stubborn", "abandoned")
    assert listed.json()["interactions"][0]["state"] == "abandoned"
    assert answer.status_code == 409


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/interactions/99", 404),
        ("/interactions/99999999999999999999999999", 404),
        ("/interactions/x", 404),
        ("/interactions/1?grace=x", 422),
        ("/interactions/1?grace=-1", 422),
        ("/interactions/1?grace=nan", 422),
        ("/interactions/1?grace=1e9", 422),
    ],
)
async def test_what_cannot_be_stopped_is_told(path: str, status: int) -> None:
    held = Held()
    async with (
        served(agent_app(held.agent, auth=TOKEN, admin_auth=ADMIN)) as url,
        httpx2.AsyncClient(base_url=url) as client,
    ):
        answer = await client.delete(path, headers=ADMIN_AUTH)

    assert answer.status_code == status
