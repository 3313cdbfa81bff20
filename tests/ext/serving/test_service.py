"""What fails around an agent is no failure of the agent's."""

import asyncio
import base64
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from miniagents import InteractionContext, miniagent
from miniagents.errors import (
    AllModelsFailedError,
    AuthenticationError,
    InvalidRequestError,
    MissingKeyError,
    ProviderUnavailableError,
)
from miniagents.ext.llms import FileMessage, ImageMessage
from miniagents.ext.serving import AgentApp, Served, SqliteConversations, agent_app
from miniagents.ext.serving.conversations import sqlite_conversations
from miniagents.ext.serving.http.problems import problem_of
from miniagents.messages import Message, registry
from miniagents.promising.tracebacks import traceback_text
from miniagents.testing import Reply, Script, ScriptedModel
from tests.ext.serving.agents import echo
from tests.ext.serving.clients import Client
from tests.ext.serving.servers import TOKEN


@miniagent
async def parrot(ctx: InteractionContext) -> None:
    """Says all that it got."""
    ctx.reply(" | ".join([str(one) for one in await ctx.message_promises]))


def app_of(store: Any) -> AgentApp:
    return agent_app(parrot, auth=TOKEN, admin_auth=None, conversations=store)


async def say(app: AgentApp, text: str, id: str = "c1") -> Client:
    client = Client(app, "/agents/parrot", {"messages": text, "conversation": id})
    await client.asking
    return client


async def ready(app: AgentApp) -> tuple[int, str]:
    client = Client(app, "/readyz")
    await client.asking
    return client.status, json.loads(client.body)["status"]


DOWN = (503, "store_unavailable")


# SQLite


@pytest.mark.real_time
async def test_a_file_that_is_no_database_is_a_503_and_not_ready_from_the_start(tmp_path: Path, log: list[Any]) -> None:
    file = tmp_path / "conversations.db"
    file.write_bytes(b"this is no database, and never was one" * 100)
    async with (app := app_of(SqliteConversations(file))).lifespan():
        assert "conversations.store_failed" in [entry["event"] for entry in log]
        assert await ready(app) == DOWN
        answer = await say(app, "Hi")
        assert answer.status == 503
        assert b'"code":"store_unavailable"' in answer.body
        assert (b"retry-after", b"1") in answer.sent[0]["headers"]
        without = Client(app, "/agents/parrot", {"messages": "Hi"})
        await without.asking
        assert without.status == 200

        file.unlink()  # somebody mends it

        assert await ready(app) == (200, "ready")
        assert (await say(app, "Hi")).status == 200
    assert len([entry for entry in log if entry["log_level"] == "error"]) == 1


@pytest.mark.real_time
async def test_a_file_that_cannot_be_opened_is_a_503(tmp_path: Path) -> None:
    async with (app := app_of(SqliteConversations(tmp_path))).lifespan():  # it is a directory
        assert await ready(app) == DOWN
        assert (await say(app, "Hi")).status == 503


@pytest.mark.real_time
async def test_a_full_file_is_a_503_until_there_is_room(tmp_path: Path) -> None:
    store = SqliteConversations(tmp_path / "conversations.db")
    async with (app := app_of(store)).lifespan():
        assert (await say(app, "x" * 50_000)).status == 200
        assert store._database is not None
        store._database.execute("PRAGMA max_page_count = 1")  # as large as it is now
        assert (await say(app, "y" * 50_000)).status == 503
        assert await ready(app) == DOWN

        store._database.execute("PRAGMA max_page_count = 1000000")

        assert await ready(app) == (200, "ready")
        answer = await say(app, "z")
        assert answer.status == 200
        assert b"y" * 100 not in answer.body  # that turn was not saved


@pytest.mark.real_time
async def test_a_locked_file_holds_up_none_longer_than_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_conversations, "_BUSY", 0.5)
    file = tmp_path / "conversations.db"
    async with (app := app_of(SqliteConversations(file))).lifespan():
        assert (await say(app, "Hi")).status == 200
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        began = asyncio.get_running_loop().time()

        answers = await asyncio.gather(*(say(app, "Hi", f"c{number}") for number in range(20)))

        assert {one.status for one in answers} == {503}
        assert asyncio.get_running_loop().time() - began < 5.0  # and not twenty times half a second
        assert await ready(app) == DOWN
        other.execute("ROLLBACK")
        other.close()
        assert await ready(app) == (200, "ready")
        assert (await say(app, "Hi")).status == 200


async def test_a_check_that_hangs_is_not_ready() -> None:
    class Hanging(SqliteConversations):
        checks = 0

        async def check(self) -> None:
            self.checks += 1
            await asyncio.Event().wait()

    store = Hanging("/nowhere/conversations.db")
    async with (app := app_of(store)).lifespan():
        assert await ready(app) == DOWN
        assert await ready(app) == DOWN
        assert store.checks == 1


# Messages of classes that are gone


def forget(patch: pytest.MonkeyPatch, gone: str) -> None:
    """Let a class of messages be defined nowhere."""
    of = registry.message_class
    patch.setattr(registry, "message_class", lambda tag: None if tag == gone else of(tag))


async def test_a_conversation_whose_message_class_is_gone_is_read_without_it(
    tmp_path: Path, log: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Receipt(Message, tag="test:Receipt"):
        number: int

    @miniagent(alias="parrot")
    async def sells(ctx: InteractionContext) -> None:
        ctx.reply(["sold", Receipt(number=7)])

    file = tmp_path / "conversations.db"
    async with (app := agent_app(sells, auth=TOKEN, conversations=SqliteConversations(file))).lifespan():
        await say(app, "tea")
    with monkeypatch.context() as later:
        later.setattr(
            registry, "message_class", lambda tag, of=registry.message_class: None if "Rec" in tag else of(tag)
        )
        async with (app := app_of(SqliteConversations(file))).lifespan():
            assert b"tea | sold | milk" in (await say(app, "milk")).body
    assert "conversations.message_unreadable" in [entry["event"] for entry in log]

    async with (app := app_of(SqliteConversations(file))).lifespan():  # the class is there again
        assert rb"tea | sold | {\"number\":7} | milk" in (await say(app, "sugar")).body


async def test_what_an_agent_has_kept_of_a_class_that_is_gone_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    class Basket(Message, tag="test:Basket"):
        articles: tuple[str, ...] = ()

    @miniagent(alias="parrot")
    class Cart:
        def __init__(self) -> None:
            self.basket = Basket()

        def get_state(self) -> Any:
            return self.basket

        def set_state(self, state: Any) -> None:
            self.basket = state

        async def __call__(self, ctx: InteractionContext) -> None:
            self.basket = Basket(articles=(*self.basket.articles, str(await ctx.message_promises)))
            ctx.reply(", ".join(self.basket.articles))

    app = agent_app(Cart, auth=TOKEN, admin_auth=None, conversation_idle=1.0)  # type: ignore[arg-type]
    async with app.lifespan():
        await say(app, "tea")
        await asyncio.sleep(2)
        with monkeypatch.context() as later:
            later.setattr(
                registry, "message_class", lambda tag, of=registry.message_class: None if "Bas" in tag else of(tag)
            )
            answer = await say(app, "milk")
            assert answer.status == 409
            assert b"conversation_unreadable" in answer.body
        assert b"tea, milk" in (await say(app, "milk")).body


# Providers


@pytest.mark.parametrize(
    ("error", "status", "retries"),
    [
        (ProviderUnavailableError("down"), 502, "true"),
        (ProviderUnavailableError("down", should_retry=False), 502, "false"),
        (AllModelsFailedError("all down"), 502, "true"),
        (AuthenticationError("no"), 502, "false"),
        (InvalidRequestError("no"), 502, "false"),
        (MissingKeyError("none"), 502, "false"),
    ],
)
def test_clients_are_told_whether_another_attempt_makes_sense(error: Exception, status: int, retries: str) -> None:
    response = problem_of(error).response()

    assert response.status_code == status
    assert response.headers["x-should-retry"] == retries


async def test_an_option_of_the_clients_that_a_provider_refuses_is_a_400() -> None:
    refusal = Reply.failure(400, error="temperature must be at most 2")
    model = ScriptedModel.fork(script=Script(refusal), alias="clerk")
    served = Served(model, arguments=("temperature", "top_p"))
    async with (app := agent_app(served, auth=TOKEN, admin_auth=None)).lifespan():
        answers = []
        for options in ({"temperature": 5}, {"top_p": 0.5}, {}):
            body = {"model": "clerk", "messages": [{"role": "user", "content": "Hi"}], **options}
            answers.append(Client(app, "/v1/chat/completions", body))
        await asyncio.gather(*(one.asking for one in answers))

    assert [one.status for one in answers] == [400, 502, 502]
    error = json.loads(answers[0].body)["error"]
    assert error["param"] == "temperature"
    assert "temperature must be at most 2" in error["message"]


# What comes from outside


@pytest.mark.parametrize("id", ["9" * 5000, "9" * 19, "x", "1.5", "-1", "0"])
@pytest.mark.parametrize("token", [TOKEN, "another"])
async def test_an_id_that_is_no_number_of_an_interaction_is_a_404_for_those_who_may_ask(id: str, token: str) -> None:
    async with (app := agent_app(echo, auth=None, admin_auth=TOKEN)).lifespan():
        headers = {"authorization": f"Bearer {token}"}
        client = Client(app, f"/interactions/{id}", method="DELETE", headers=headers)
        await client.asking
    assert client.status == (404 if token == TOKEN else 401)
    assert len(client.body) < 300


BAD = ["data:image/png;base64,!!!!", "data:image/png;base64,AAA", "data:image/png,AAAA", "data:", "data:;base64,é"]


@pytest.mark.parametrize("url", BAD)
@pytest.mark.parametrize("kind", ["image", "file"])
async def test_base64_that_is_none_is_a_400(url: str, kind: str) -> None:
    chat: dict[str, Any] = {"type": "image_url", "image_url": {"url": url}}
    item: dict[str, Any] = {"type": "input_image", "image_url": url}
    if kind == "file":
        chat = {"type": "file", "file": {"file_data": url}}
        item = {"type": "input_file", "file_data": url}
    source = {"type": "base64", "media_type": "image/png", "data": url.partition(",")[2] or "!"}
    requests: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": [{"role": "user", "content": [chat]}]},
        "/v1/responses": {"input": [{"role": "user", "content": [item]}]},
    }
    if url != "data:image/png,AAAA":
        requests["/v1/messages"] = {
            "max_tokens": 9,
            "messages": [{"role": "user", "content": [{"type": "image", "source": source}]}],
        }
    async with (app := agent_app(echo, auth=TOKEN, admin_auth=None)).lifespan():
        for path, body in requests.items():
            client = Client(app, path, {"model": "echo", **body})
            await client.asking
            assert client.status == 400, path


# The log


@pytest.mark.parametrize("cause", [True, False])
def test_what_an_error_says_forges_no_line_of_the_log_and_tells_the_terminal_nothing(cause: bool) -> None:
    text = "no\n2026-01-01 [info] all is well\r\x1b[2J\x1b]0;title\x07\x9b31m\u2028forged\u202eback"
    try:
        try:
            raise ValueError(text)
        except ValueError as error:
            error.add_note(text)
            if cause:
                raise RuntimeError("above") from error
            raise
    except Exception as error:
        found = traceback_text(error)

    assert all(line.startswith("| ") for line in found.split("\n"))
    assert all(char.isprintable() for char in found.replace("\n", ""))
    assert r"\x1b[2J" in found
    assert "all is well" in found


async def test_images_and_files_come_in_through_both_apis() -> None:
    came: list[Message] = []

    @miniagent
    async def looks(ctx: InteractionContext) -> None:
        came.extend(await ctx.message_promises)
        ctx.reply("seen")

    image, file = "data:image/png;base64,AAAA", "data:application/pdf;base64,BBBB"
    chat = [
        {"type": "image_url", "image_url": {"url": image}},
        {"type": "file", "file": {"file_data": file, "filename": "a.pdf"}},
    ]
    items = [
        {"type": "input_image", "image_url": image},
        {"type": "input_file", "file_data": file, "filename": "a.pdf"},
    ]
    async with (app := agent_app(looks, auth=TOKEN, admin_auth=None)).lifespan():
        for path, body in {
            "/v1/chat/completions": {"messages": [{"role": "user", "content": chat}]},
            "/v1/responses": {"input": [{"role": "user", "content": items}]},
        }.items():
            client = Client(app, path, {"model": "looks", **body})
            await client.asking
            assert client.status == 200, client.body

    by_chat, by_responses = came[:2], came[2:]
    assert [type(one) for one in by_chat] == [ImageMessage, FileMessage]
    assert isinstance(by_chat[0], ImageMessage)
    assert by_chat[0].data == b"\0\0\0"
    assert isinstance(by_chat[1], FileMessage)
    assert (by_chat[1].data, by_chat[1].filename) == (base64.b64decode("BBBB"), "a.pdf")
    assert by_responses == by_chat
