"""Waits for answers from outside, over HTTP."""

import asyncio
from typing import Any

import httpx2
import pytest

from miniagents import InteractionContext, Message, MiniAgents, miniagent
from miniagents.ext.serving import Limits, agent_app
from miniagents.journal import MemoryJournal
from tests.ext.serving.servers import ADMIN, ADMIN_AUTH, in_process, served

pytestmark = pytest.mark.real_time

ANN = {"authorization": "Bearer token-of-ann"}
BOB = {"authorization": "Bearer token-of-bob"}


class Decision(Message):
    is_yes: bool
    note: str = ""


@miniagent
async def asks(ctx: InteractionContext) -> None:
    ctx.reply(f"got {await ctx.wait_for('approval', prompt='Go on?')}")


@miniagent
async def decides(ctx: InteractionContext) -> None:
    decision = await ctx.wait_for("decision", type=Decision)
    ctx.reply(f"{decision.is_yes} {decision.note}")


def app_of(*agents: Any, **options: Any) -> Any:
    auth = {"ann": "token-of-ann", "bob": "token-of-bob"}
    return agent_app([*agents], auth=auth, admin_auth={"root": ADMIN}, **options)


async def waits_of(client: Any, headers: dict[str, str], count: int = 1, **query: str) -> list[Any]:
    for _ in range(500):
        answer = await client.get("/waits", headers=headers, params=query)
        assert answer.status_code == 200
        if len(answer.json()["waits"]) >= count:
            break
        await asyncio.sleep(0.01)
    return answer.json()["waits"]  # type: ignore[no-any-return]


async def test_a_client_sees_and_answers_the_waits_of_its_own_calls_alone() -> None:
    async with in_process(app_of(asks)) as client:
        asking = asyncio.create_task(client.post("/agents/asks", json={}, headers=ANN))
        (wait,) = await waits_of(client, ANN)
        assert (wait["job"], wait["name"], wait["agent"]) == ("", "approval", "/agents/asks")
        assert (wait["prompt"], wait["owner"], wait["due_at"]) == ("Go on?", "ann", None)
        assert (await client.get("/waits", headers=BOB)).json() == {"waits": []}

        for target in (wait["id"], "approval"):
            refused = await client.post("/waits", json={"wait": target, "message": "no"}, headers=BOB)
            assert (refused.status_code, refused.json()["error"]["code"]) == (404, "wait_not_found")
        taken = await client.post("/waits", json={"wait": "approval", "message": "yes"}, headers=ANN)

        assert (taken.status_code, taken.json()) == (200, {"id": wait["id"]})
        assert (await asking).json()["messages"][0]["text"] == "got yes"
        second = await client.post("/waits", json={"wait": wait["id"], "message": "no"}, headers=ANN)
        assert (second.status_code, second.json()["error"]["code"]) == (409, "taken")
        assert "given by 'ann'" in second.json()["error"]["message"]


async def test_an_operator_sees_and_answers_all() -> None:
    async with in_process(app_of(asks)) as client:
        asking = [asyncio.create_task(client.post("/agents/asks", json={}, headers=key)) for key in (ANN, BOB)]
        waits = await waits_of(client, ADMIN_AUTH, count=2)
        refused = await client.post("/waits", json={"wait": "approval", "message": "yes"}, headers=ADMIN_AUTH)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "ambiguous")
        for wait in waits:
            body = {"wait": wait["id"], "message": {"content": f"for {wait['owner']}"}}
            assert (await client.post("/waits", json=body, headers=ADMIN_AUTH)).status_code == 200
        texts = [(await task).json()["messages"][0]["text"] for task in asking]
        again = await client.post("/waits", json={"wait": waits[0]["id"], "message": "yes"}, headers=ADMIN_AUTH)

    assert texts == ["got for ann", "got for bob"]
    assert "given by 'root'" in again.json()["error"]["message"]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}])
async def test_without_a_token_nothing_is_shown_and_nothing_taken(headers: dict[str, str]) -> None:
    async with in_process(app_of(asks)) as client:
        assert (await client.get("/waits", headers=headers)).status_code == 401
        body = {"wait": "approval", "message": "yes"}
        assert (await client.post("/waits", json=body, headers=headers)).status_code == 401


async def test_in_a_service_without_tokens_waits_are_for_operators_alone() -> None:
    app = agent_app(asks, auth=None, admin_auth=ADMIN)
    async with in_process(app) as client:
        asking = asyncio.create_task(client.post("/agents/asks", json={}))
        assert (await client.get("/waits")).status_code == 401
        (wait,) = await waits_of(client, ADMIN_AUTH)
        assert wait["owner"] == ""
        await client.post("/waits", json={"wait": "approval", "message": "yes"}, headers=ADMIN_AUTH)
        assert (await asking).status_code == 200


async def test_data_become_a_message_of_the_class_that_is_waited_for() -> None:
    async with in_process(app_of(decides)) as client:
        asking = asyncio.create_task(client.post("/agents/decides", json={}, headers=ANN))
        await waits_of(client, ANN)
        for wrong in ("yes", {"data": {"is_yes": "maybe"}}):
            refused = await client.post("/waits", json={"wait": "decision", "message": wrong}, headers=ANN)
            assert (refused.status_code, refused.json()["error"]["code"]) == (422, "wrong_kind")
        body = {"wait": "decision", "message": {"data": {"is_yes": True, "note": "fine"}}}
        assert (await client.post("/waits", json=body, headers=ANN)).status_code == 200

        assert (await asking).json()["messages"][0]["text"] == "True fine"


@pytest.mark.parametrize("target", ["nothing", "approval#99.0", "a#b", ""])
async def test_an_answer_to_nothing_is_not_found(target: str) -> None:
    async with in_process(app_of(asks)) as client:
        body = {"job": "nowhere", "wait": target, "message": "yes"}
        for headers in (ANN, ADMIN_AUTH):
            answer = await client.post("/waits", json=body, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "wait_not_found")


async def test_a_client_that_went_away_answers_later() -> None:
    journal = MemoryJournal()

    async def start(mini: MiniAgents) -> None:
        mini.run_job("job-1", asks)

    app = app_of(asks, system=MiniAgents(journal=journal), on_start=start)
    async with in_process(app) as client:
        (wait,) = await waits_of(client, ADMIN_AUTH, job="job-1")
    # The service has ended, and another process serves the same journal.
    system = MiniAgents(journal=journal)
    async with in_process(app_of(asks, system=system)) as client:
        assert await waits_of(client, ADMIN_AUTH) == [wait]
        body = {"job": "job-1", "wait": wait["id"], "message": "yes"}
        assert (await client.post("/waits", json=body, headers=ADMIN_AUTH)).json() == {"id": wait["id"]}
        assert str(await system.run_job("job-1", asks)) == "got yes"


@miniagent
async def says_and_asks(ctx: InteractionContext) -> None:
    ctx.reply("asking")
    ctx.reply(f"got {await ctx.wait_for('approval')}")


async def test_a_call_whose_stream_is_kept_waits_on_when_its_client_disconnects() -> None:
    async with served(app_of(says_and_asks)) as url, httpx2.AsyncClient(base_url=url, headers=ANN) as client:
        body = {"stream": True, "keep": 60}
        async with client.stream("POST", "/agents/says_and_asks", json=body) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("id:"):
                    break
        (wait,) = await waits_of(client, ANN)
        assert (await client.post("/waits", json={"wait": wait["id"], "message": "yes"})).status_code == 200
        name = line.removeprefix("id:").strip().rpartition(":")[0]
        resumed = await client.get(f"/agents/says_and_asks/streams/{name}")
    assert "got yes" in resumed.text


@pytest.mark.parametrize("data", [[[[[[1]]]]], list(range(100))])
async def test_an_answer_has_the_limits_of_a_request(data: list[Any]) -> None:
    async with in_process(app_of(asks, limits=Limits(depth=6, elements=40))) as client:
        body = {"wait": "approval", "message": {"data": {"x": data}}}
        refused = await client.post("/waits", json=body, headers=ANN)
        same = await client.post("/agents/asks", json={"messages": [body["message"]]}, headers=ANN)

    assert refused.status_code == same.status_code == 400
    assert refused.json()["error"]["code"] == same.json()["error"]["code"]


async def test_an_operator_whose_token_cannot_be_checked_is_not_taken_for_a_client() -> None:
    def breaks(token: str) -> str:
        raise RuntimeError("the directory is down")

    app = agent_app(asks, auth={"ann": "token-of-ann"}, admin_auth=breaks)
    async with in_process(app) as client:
        assert (await client.get("/waits", headers=ANN)).status_code == 500
