import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.ext.observer import WebObserver
from miniagents.ext.serving import AgentApp, agent_app
from tests.ext.serving.servers import AUTH, in_process


@miniagent
async def echo(ctx: InteractionContext) -> None:
    ctx.reply(ctx.message_promises)


def served_app(**options: object) -> AgentApp:
    return agent_app(echo, auth="a-token-for-tests", admin_auth=None, **options)  # type: ignore[arg-type]


async def test_a_service_shows_its_agents_at_observer_with_the_link_that_it_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = served_app(observer=True)
    async with in_process(app) as client:
        link = capsys.readouterr().err.split("see the agents of this service at ")[1].split()[0]
        refused = await client.get("/observer/")
        entered = await client.get(link)
        page = await client.get("/observer/")
        script = await client.get("/observer/static/app.js")
        await client.post("/agents/echo", json={"messages": ["hello"]}, headers=AUTH)
        found = await client.get("/observer/search", params={"for": "echo"})

    assert link.startswith("/observer/?token=")
    assert (refused.status_code, entered.status_code, page.status_code, script.status_code) == (401, 200, 200, 200)
    assert entered.headers["set-cookie"].startswith("miniagents-observer-")
    assert found.json()["calls"]["found"] == 1


async def test_an_address_without_the_slash_leads_to_the_one_with_it_behind_any_prefix() -> None:
    async with in_process(served_app(observer=True)) as client:
        answer = await client.get("/observer", params={"token": "x"})

    assert (answer.status_code, answer.headers["location"]) == (307, "observer/?token=x")


async def test_the_page_works_where_the_service_is_mounted_in_another_app() -> None:
    observer = WebObserver(opens=False)
    inner = served_app(observer=observer)
    outer = Starlette(routes=[Mount("/ai", inner)], lifespan=inner.lifespan)
    outer.lifespan = inner.lifespan  # type: ignore[attr-defined]
    async with in_process(outer) as client:  # type: ignore[arg-type]
        entered = await client.get("/ai/observer/", params={"token": observer.new_token()})
        page = await client.get("/ai/observer/")

    assert entered.status_code == 200
    assert page.status_code == 200
    assert 'src="static/app.js"' in page.text


async def test_a_foreign_name_is_refused_before_the_page_is_asked() -> None:
    observer = WebObserver(opens=False)
    async with in_process(served_app(observer=observer)) as client:
        answer = await client.get("/observer/", headers={"host": "evil.example"})

    assert answer.status_code == 400


async def test_a_system_that_runs_before_its_service_is_seen_as_well() -> None:
    async with MiniAgents() as system:
        observer = WebObserver(opens=False)
        async with in_process(served_app(observer=observer, system=system)) as client:
            await client.post("/agents/echo", json={"messages": ["hello"]}, headers=AUTH)

        assert [record.alias for record in observer.records.values()] == ["echo"]


async def test_without_the_option_there_is_no_page() -> None:
    async with in_process(served_app()) as client:
        assert (await client.get("/observer/")).status_code == 404
