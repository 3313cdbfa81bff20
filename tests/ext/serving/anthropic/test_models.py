"""`/v1/models` with the official SDK of Anthropic."""

import datetime as dt

import anthropic
import httpx2
import pytest

from miniagents.ext.serving import agent_app
from tests.ext.serving.agents import echo
from tests.ext.serving.anthropic.strict_client import strict_client, unknown_fields
from tests.ext.serving.servers import AUTH, TOKEN, in_process, served

pytestmark = pytest.mark.real_time

VERSION = {"anthropic-version": "2023-06-01"}
NAMES = ["a", "b", "c", "d", "e"]


async def page(query: str, **headers: str) -> httpx2.Response:
    app = agent_app(dict.fromkeys(NAMES, echo), auth=TOKEN, admin_auth=None)
    async with in_process(app, **headers) as client:
        return await client.get(f"/v1/models?{query}")


async def test_the_client_reads_all_pages_and_each_model() -> None:
    app = agent_app(dict.fromkeys(NAMES, echo), auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        first = await client.models.list(limit=2)
        listed = [model async for model in client.models.list(limit=2)]
        backwards = [model.id async for model in client.models.list(limit=2, before_id="e")]
        one = await client.models.retrieve("c")
        in_beta = [model.id async for model in client.beta.models.list(betas=["x"])]
        one_in_beta = await client.beta.models.retrieve("c")

    assert ([model.id for model in first.data], first.has_more, first.first_id, first.last_id) == (
        ["a", "b"],
        True,
        "a",
        "b",
    )
    assert [model.id for model in listed] == in_beta == NAMES
    assert backwards == ["c", "d", "a", "b"]
    assert (one.id, one.type, one.display_name, one.lifecycle) == ("c", "model", "c", "active")
    assert one_in_beta.id == "c"
    assert abs(dt.datetime.now(dt.UTC) - one.created_at) < dt.timedelta(minutes=5)
    assert unknown_fields([first, listed, one]) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (NAMES, False)),
        ("limit=5", (NAMES, False)),
        ("limit=4", (NAMES[:4], True)),
        ("after_id=b&limit=2", (["c", "d"], True)),
        ("after_id=b", (["c", "d", "e"], False)),
        ("after_id=e", ([], False)),
        ("before_id=d&limit=2", (["b", "c"], True)),
        ("before_id=a", ([], False)),
        ("after_id=a&before_id=e&limit=2", (["b", "c"], True)),
        ("lifecycle=retired", ([], False)),
        ("lifecycle=retired,active", (NAMES, False)),
        ("lifecycle=deprecated&lifecycle=active", (NAMES, False)),
        ("lifecycle%5B%5D=retired", ([], False)),
    ],
)
async def test_a_page_is_what_its_query_says(query: str, expected: tuple[list[str], bool]) -> None:
    body = (await page(query, **VERSION)).json()

    assert ([model["id"] for model in body["data"]], body["has_more"]) == expected
    assert body["first_id"] == (expected[0][0] if expected[0] else None)
    assert body["last_id"] == (expected[0][-1] if expected[0] else None)


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("limit=0", 400, "limit"),
        ("limit=1001", 400, "limit"),
        ("limit=" + "9" * 5000, 400, "limit"),
        ("limit=%C2%B2", 400, "limit"),
        ("limit=%D9%A2", 400, "limit"),
        ("limit=two", 400, "limit"),
        ("after_id=nobody", 404, "after_id"),
        ("before_id=nobody", 404, "before_id"),
        ("lifecycle=new", 400, "lifecycle"),
    ],
)
async def test_a_wrong_query_is_refused_by_name(query: str, status: int, named: str) -> None:
    answer = await page(query, **VERSION)

    assert answer.status_code == status
    assert answer.json()["type"] == "error"
    assert named in answer.json()["error"]["message"]
    assert answer.json()["request_id"] == answer.headers["request-id"]


async def test_a_page_of_the_default_size_has_twenty_models() -> None:
    app = agent_app({f"agent-{number}": echo for number in range(25)}, auth=TOKEN, admin_auth=None)
    async with in_process(app, **VERSION) as client:
        body = (await client.get("/v1/models")).json()

    assert (len(body["data"]), body["has_more"], body["last_id"]) == (20, True, "agent-19")


async def test_clients_of_openai_get_their_own_form() -> None:
    listed = (await page("")).json()
    missing = (await page("after_id=nobody")).json()

    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == NAMES
    assert "type" not in missing
    assert missing["error"]["param"] == "after_id"


async def test_a_missing_model_and_a_missing_token_are_failures_in_anthropics_form() -> None:
    app = agent_app(echo, auth=TOKEN, admin_auth=None)
    async with served(app) as url, strict_client(url) as client:
        with pytest.raises(anthropic.NotFoundError) as missing:
            await client.models.retrieve("nobody")
        with pytest.raises(anthropic.AuthenticationError) as unknown:
            await client.with_options(api_key="wrong").models.list(limit=0)  # the token comes first

    for error in (missing.value, unknown.value):
        assert isinstance(error.body, dict)
        assert error.body["request_id"] == error.request_id
        assert str(error.request_id).startswith("req_")
    assert (missing.value.type, unknown.value.type) == ("not_found_error", "authentication_error")


async def test_every_answer_has_an_id_of_its_own() -> None:
    app = agent_app(echo, auth=TOKEN, admin_auth=None)
    async with in_process(app, **VERSION) as client:
        answers = [await client.get("/v1/models", headers=AUTH) for _ in range(3)]

    assert len({answer.headers["request-id"] for answer in answers}) == 3
