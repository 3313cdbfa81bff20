import asyncio
from typing import Any

import pytest

from miniagents import Actor, InteractionContext, OneForOne, TextMessage, miniagent
from miniagents.ext.observer.searching import SHOWN, search
from miniagents.ext.observer.texts import Texts
from miniagents.testing import Script, ScriptedModel
from tests.ext.observer.observed import observed, page_of


class Faulty(Actor):
    async def receive(self, message: Any, ctx: Any) -> None:
        raise ValueError(str(message))


@miniagent
async def echo(ctx: InteractionContext) -> None:
    ctx.reply(ctx.message_promises)


async def test_actors_failures_and_texts_are_found_by_any_part_of_them() -> None:
    async with observed() as (system, observer):
        pool = await system.pool(Faulty, size=1, name="readers", strategy=OneForOne(max_restarts=None))
        pool.tell(TextMessage("the index is broken"))
        await echo.inquire("How deep is the lake?")
        await asyncio.sleep(1)

        by_path = await search(system, observer, Texts(), "EADERS")
        by_error = await search(system, observer, Texts(), "index is")
        by_text = await search(system, observer, Texts(), "deep is")

    assert [item["path"] for item in by_path["actors"]["items"]] == ["/readers", "/readers/1"]
    assert by_error["happenings"]["found"] == 2
    assert by_error["actors"]["found"] == 1
    assert [item["path"] for item in by_text["calls"]["items"]] == ["/agents/echo"]
    assert (by_text["calls"]["found"], by_text["calls"]["of"], by_text["actors"]["found"]) == (1, 1, 0)
    assert by_text["oldest"] is not None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Straße", "STRASSE"),
        ("cafe\u0301", "CAF\u00c9"),
        ("東京都の天気", "京都"),
        ("Здравствуй", "ЗДРАВ"),
        ("ﬁnd me", "FIND"),
    ],
)
async def test_texts_are_found_in_any_script_whatever_their_form(text: str, wanted: str) -> None:
    async with observed() as (system, observer):
        await echo.inquire(f"so: {text}, yes")

        found = await search(system, observer, Texts(), wanted)

    assert found["calls"]["found"] == 1


async def test_what_a_model_said_is_found_as_well() -> None:
    async with observed() as (system, observer):
        await ScriptedModel.fork(script=Script("the answer is 42")).inquire("x")

        assert (await search(system, observer, Texts(), "is 42"))["calls"]["found"] == 1


async def test_all_are_counted_and_the_first_are_shown() -> None:
    async with observed() as (system, observer):
        for number in range(SHOWN + 5):
            system.spawn(Faulty, name=f"worker-{number}")

        found = (await search(system, observer, Texts(), "worker"))["actors"]

    assert (found["found"], found["of"], len(found["items"])) == (SHOWN + 5, SHOWN + 5, SHOWN)


async def test_only_what_may_be_seen_is_searched() -> None:
    async with observed() as (system, observer):
        await echo.inquire("the secret is out")

        assert (await search(system, observer, Texts("facts"), "secret"))["calls"]["found"] == 0
        assert (await search(system, observer, Texts("full", lambda text: "hidden"), "secret"))["calls"]["found"] == 0


async def test_the_page_asks_by_its_own_address() -> None:
    async with observed() as (system, observer), page_of(observer) as client:
        system.spawn(Faulty, name="worker")

        found = await client.get("/search", params={"for": "worker"})
        nothing = await client.get("/search", params={"for": " "})

    assert found.json()["actors"]["found"] == 1
    assert nothing.status_code == 400
