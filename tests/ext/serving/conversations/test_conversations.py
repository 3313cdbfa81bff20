"""Conversations: an agent for each, what was said goes on, turns come in order, owners are told apart."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import websockets

from miniagents import (
    AssistantMessage,
    ErrorMessage,
    InteractionContext,
    Message,
    SystemMessage,
    TextMessage,
    UserMessage,
    miniagent,
)
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.providers.mapping import role_of
from miniagents.ext.serving import ConversationStore, Limits, MemoryConversations, SqliteConversations, agent_app
from miniagents.testing import Script, ScriptedModel
from tests.ext.serving.agents import Held, soon
from tests.ext.serving.clients import Client
from tests.ext.serving.servers import AUTH, TOKEN, in_process, served

ROOT = Path(__file__).parents[4]
SOON = {"x-request-timeout": "0.01"}


@miniagent
async def parrot(ctx: InteractionContext) -> None:
    """Says all that it got, with who said it."""
    ctx.reply(" | ".join([f"{getattr(one, 'role', None)}: {one}" for one in await ctx.message_promises]))


@miniagent
class Counter:
    """Counts its calls, and keeps nothing."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, ctx: InteractionContext) -> None:
        self.count += 1
        ctx.reply(f"{self.count} of {len(await ctx.message_promises)}")


@miniagent
class Keeper:
    """Counts what it is told, keeps the count, and fails when it is told to."""

    def __init__(self, start: int = 0) -> None:
        self.count = start

    def get_state(self) -> Any:
        return {"count": self.count}

    def set_state(self, state: Any) -> None:
        self.count = state["count"]

    async def __call__(self, ctx: InteractionContext) -> None:
        messages = await ctx.message_promises
        self.count += 100
        if str(messages) == "fail":
            raise ValueError("as I was told")
        self.count += len(messages) - 100
        ctx.reply(f"{self.count}")


async def say(client: httpx2.AsyncClient, text: Any, id: str = "c1", agent: str = "parrot", **more: Any) -> str:
    """What the agent replies in a conversation."""
    answer = await client.post(f"/agents/{agent}", json={"messages": text, "conversation": id, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["messages"][0]["text"])


def app_for(agents: Any, **options: Any) -> Any:
    return agent_app(agents, auth=options.pop("auth", TOKEN), admin_auth=None, **options)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ConversationStore:
    return MemoryConversations() if request.param == "memory" else SqliteConversations(tmp_path / "conversations.db")


async def test_what_was_said_comes_before_what_is_new(store: ConversationStore) -> None:
    async with in_process(app_for(parrot, conversations=store)) as client:
        first = await say(client, "one")
        second = await say(client, "two")
        other = await say(client, "three", "c2")

    assert first == "user: one"
    assert second == "user: one | assistant: user: one | user: two"
    assert other == "user: three"


async def test_instructions_are_for_their_request_alone(store: ConversationStore) -> None:
    told = {"content": "Be brief.", "role": "system"}
    async with in_process(app_for(parrot, conversations=store)) as client:
        await say(client, [told, "one"])
        second = await say(client, [told, "two"])

    assert second == "system: Be brief. | user: one | assistant: system: Be brief. | user: one | user: two"


async def test_a_conversation_goes_on_after_the_service_was_started_again(store: ConversationStore) -> None:
    app = app_for({"parrot": parrot, "keeper": Keeper}, conversations=store)
    async with in_process(app) as client:
        await say(client, "one")
        await say(client, "one", "k", "keeper")
    async with in_process(app) as client:
        assert await say(client, "two") == "user: one | assistant: user: one | user: two"
        assert await say(client, ["two", "three"], "k", "keeper") == "3"


async def test_each_conversation_has_an_instance_of_a_class_for_itself() -> None:
    async with in_process(app_for({"counter": Counter})) as client:
        said = [await say(client, "x", id, "counter") for id in ("a", "a", "b", "a")]
        without = (await client.post("/agents/counter", json={"messages": "x"})).json()["messages"][0]["text"]

    assert said == ["1 of 1", "2 of 3", "1 of 1", "3 of 5"]
    assert without == "1 of 1"


async def test_arguments_of_a_fork_reach_the_instance() -> None:
    async with in_process(app_for({"keeper": Keeper.fork(start=10)})) as client:  # type: ignore[attr-defined]
        assert await say(client, "x", "a", "keeper") == "11"


async def test_the_agent_of_an_idle_conversation_is_passivated_and_comes_back(store: ConversationStore) -> None:
    app = app_for({"counter": Counter, "keeper": Keeper}, conversations=store, conversation_idle=60.0)

    def alive() -> int:
        return len([one for one in app.system.tree().children[0].children if one.path.startswith("/agents/")])

    async with in_process(app) as client:
        await say(client, "x", "a", "counter")
        await say(client, "x", "k", "keeper")
        await asyncio.sleep(59.0)
        assert alive() == 2
        assert await say(client, "x", "k", "keeper") == "2"
        await asyncio.sleep(2.0)
        assert alive() == 1
        await asyncio.sleep(59.0)
        assert alive() == 0
        assert await say(client, "x", "a", "counter") == "1 of 3"  # a new instance, which is told what was said
        assert await say(client, "x", "k", "keeper") == "3"  # a new instance, with its state


async def test_a_turn_that_fails_is_not_in_the_conversation(store: ConversationStore) -> None:
    async with in_process(app_for({"keeper": Keeper}, conversations=store)) as client:
        await say(client, "x", "k", "keeper")
        body = {"messages": "fail", "conversation": "k"}
        failed = await client.post("/agents/keeper", json=body)
        after = await say(client, "x", "k", "keeper")

    assert failed.status_code == 500
    assert after == "2"  # neither what the failed turn was told, nor what it had done to its instance


async def test_turns_of_a_conversation_come_one_at_a_time_and_in_order() -> None:
    running, order = 0, []

    @miniagent
    async def slow(ctx: InteractionContext) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(1.0)
        running -= 1
        order.append(str((await ctx.message_promises)[-1]))
        ctx.reply("done")

    async with in_process(app_for(slow)) as client, asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(say(client, str(number), "c1", "slow"))
            await asyncio.sleep(0.01)

    assert order == ["0", "1", "2", "3", "4"]


async def test_conversations_do_not_wait_for_each_other() -> None:
    held = Held()
    async with in_process(app_for(held.agent)) as client:
        first = asyncio.create_task(say(client, "x", "a", "held"))
        await soon(held.waiting)
        held.waiting.clear()
        second = asyncio.create_task(say(client, "x", "b", "held"))
        await soon(held.waiting)
        held.let_go.set()
        await asyncio.gather(first, second)


async def test_too_many_that_wait_are_a_429_and_a_turn_that_comes_too_late_is_a_504() -> None:
    held = Held()
    async with in_process(app_for(held.agent, limits=Limits(conversation_waiting=1))) as client:
        body = {"messages": "x", "conversation": "a"}
        first = asyncio.create_task(client.post("/agents/held", json=body))
        await soon(held.waiting)
        second = asyncio.create_task(client.post("/agents/held", json=body, headers={"x-request-timeout": "5"}))
        await asyncio.sleep(1.0)
        third = await client.post("/agents/held", json=body)
        late = await second
        held.let_go.set()
        answer = await first

    assert (third.status_code, third.json()["error"]["code"]) == (429, "conversation_busy")
    assert third.headers["retry-after"] == "1"
    assert (late.status_code, late.json()["error"]["code"]) == (504, "timeout")
    assert answer.status_code == 200


async def test_what_a_request_has_waited_counts_for_its_deadline() -> None:
    @miniagent
    async def slow(ctx: InteractionContext) -> None:
        await asyncio.sleep(6.0)
        ctx.reply("done")

    async with in_process(app_for(slow)) as client:
        first = asyncio.create_task(say(client, "x", "a", "slow"))
        await asyncio.sleep(0.1)
        body = {"messages": "x", "conversation": "a"}
        began = asyncio.get_running_loop().time()
        late = await client.post("/agents/slow", json=body, headers={"x-request-timeout": "10"})
        took = asyncio.get_running_loop().time() - began
        await first

    assert late.status_code == 504
    assert took == pytest.approx(10.0, abs=0.1)


async def test_one_keys_conversations_are_not_anothers(store: ConversationStore) -> None:
    auth = {"ann": "ann's-token", "bob": "bob's-token"}
    async with in_process(app_for(parrot, auth=auth, conversations=store), authorization="") as client:

        def as_(name: str) -> dict[str, str]:
            return {"authorization": f"Bearer {auth[name]}"}

        async def say_as(name: str, text: str) -> str:
            body = {"messages": text, "conversation": "c1"}
            answer = await client.post("/agents/parrot", json=body, headers=as_(name))
            return str(answer.json()["messages"][0]["text"])

        await say_as("ann", "a secret")
        assert await say_as("bob", "hello") == "user: hello"
        made = (await client.post("/v1/conversations", json={}, headers=as_("ann"))).json()["id"]
        foreign = [
            await client.get(f"/v1/conversations/{made}", headers=as_("bob")),
            await client.delete(f"/v1/conversations/{made}", headers=as_("bob")),
            await client.get("/v1/conversations/nowhere", headers=as_("bob")),
        ]
        own = await client.get(f"/v1/conversations/{made}", headers=as_("ann"))

    assert [one.status_code for one in foreign] == [404, 404, 404]
    told = [one.text.replace(one.headers["x-request-id"], "") for one in foreign]
    assert told[0].replace(made, "") == told[2].replace("nowhere", "")
    assert own.status_code == 200


async def test_a_conversation_has_one_agent() -> None:
    async with in_process(app_for({"parrot": parrot, "counter": Counter})) as client:
        await say(client, "x")
        answer = await client.post("/agents/counter", json={"messages": "x", "conversation": "c1"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conversation_of_another_agent")


@pytest.mark.parametrize("limit", [{"conversation_messages": 2}, {"conversation_bytes": 50}])
async def test_a_full_conversation_takes_no_more(limit: Any) -> None:
    async with in_process(app_for(parrot, limits=Limits(**limit))) as client:
        await say(client, "x")
        answer = await client.post("/agents/parrot", json={"messages": "x", "conversation": "c1"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conversation_full")


@pytest.mark.parametrize("limit", [{"conversation_messages": 3}, {"conversation_bytes": 1000}])
async def test_a_request_with_which_a_conversation_would_become_too_long_is_refused_before_its_agent_runs(
    limit: Any,
) -> None:
    calls = 0

    @miniagent
    async def counts(ctx: InteractionContext) -> None:
        nonlocal calls
        calls += 1
        ctx.reply("yes")

    messages = ["x" * 500, "y" * 500]
    async with in_process(app_for(counts, limits=Limits(**limit))) as client:
        await client.post("/agents/counts", json={"messages": "Hi", "conversation": "c1"})
        answer = await client.post("/agents/counts", json={"messages": messages, "conversation": "c1"})
        fits = await client.post("/agents/counts", json={"messages": "z", "conversation": "c1"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conversation_full")
    assert (fits.status_code, calls) == (200, 2)


async def test_over_a_websocket_too_a_conversation_becomes_no_longer_than_it_may() -> None:
    app = app_for(parrot, limits=Limits(conversation_messages=2))
    async with app.lifespan():
        socket = Client(app, "/agents/parrot", is_socket=True)
        socket.say(type="open", conversation="c1")
        for _ in range(3):
            socket.say(type="message", content="x")
        await socket.asking

    assert socket.events[-1]["error"]["code"] == "conversation_full"


@pytest.mark.parametrize("id", ["", "a b", "é", "x" * 129, "a/b", {"id": ""}, 7, {"name": "x"}])
async def test_what_is_no_id_is_refused(id: Any) -> None:
    async with in_process(app_for(parrot)) as client:
        answer = await client.post("/agents/parrot", json={"messages": "x", "conversation": id})

    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["param"].startswith("conversation")


async def test_the_header_names_a_conversation_where_the_body_does_not() -> None:
    async with in_process(app_for(parrot)) as client:
        await say(client, "one")
        header = {"x-conversation": "c1"}
        second = await client.post("/agents/parrot", json={"messages": "two"}, headers=header)
        other = await client.post("/agents/parrot", json={"messages": "x", "conversation": "c2"}, headers=header)
        none = await client.post("/agents/parrot", json={"messages": "x"}, headers={"x-conversation": "a b"})

    assert second.json()["messages"][0]["text"].startswith("user: one | ")
    assert other.json()["messages"][0]["text"] == "user: x"
    assert none.status_code == 400


async def test_a_conversation_that_was_deleted_meanwhile_does_not_come_back() -> None:
    held = Held()
    store = MemoryConversations()
    async with in_process(app_for(held.agent, conversations=store)) as client:
        made = (await client.post("/v1/conversations", json={"metadata": {"topic": "tea"}})).json()
        body = {"messages": "x", "conversation": made["id"], "stream": True}
        running = asyncio.create_task(client.post("/agents/held", json=body))
        await soon(held.waiting)
        deleted = await client.delete(f"/v1/conversations/{made['id']}")
        held.let_go.set()
        answer = await running
        gone = await client.get(f"/v1/conversations/{made['id']}")

    assert made["metadata"] == {"topic": "tea"}
    assert deleted.json() == {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    assert "event: error" in answer.text
    assert "conversation_changed" in answer.text
    assert gone.status_code == 404


async def test_after_a_deletion_nothing_of_it_is_left(store: ConversationStore) -> None:
    async with in_process(app_for({"counter": Counter, "keeper": Keeper}, conversations=store)) as client:
        for agent in ("counter", "keeper"):
            await say(client, "x", agent, agent)
            await say(client, "x", agent, agent)
            assert (await client.delete(f"/v1/conversations/{agent}")).status_code == 200
            assert (await say(client, "x", agent, agent))[0] == "1"


async def test_what_another_process_said_is_in_the_conversation(tmp_path: Path) -> None:
    file = tmp_path / "conversations.db"
    one, other = [
        app_for({"keeper": Keeper, "parrot": parrot}, conversations=SqliteConversations(file)) for _ in range(2)
    ]
    async with in_process(one) as first, in_process(other) as second:
        counts = [await say(client, "x", "k", "keeper") for client in (first, second, first, second)]
        await say(first, "one")
        heard = await say(second, "two")

    assert counts == ["1", "2", "3", "4"]
    assert heard == "user: one | assistant: user: one | user: two"


async def test_a_stream_ends_when_its_turn_is_saved() -> None:
    class Slow(MemoryConversations):
        async def save(self, owner: str, id: str, data: bytes, *, after: str | None) -> str | None:
            await asyncio.sleep(5.0)
            return await super().save(owner, id, data, after=after)

    async with in_process(app_for(parrot, conversations=Slow())) as client:
        for path, body in (
            ("/agents/parrot", {"messages": "x", "stream": True}),
            (
                "/v1/chat/completions",
                {"model": "parrot", "messages": [{"role": "user", "content": "x"}], "stream": True},
            ),
            ("/v1/responses", {"model": "parrot", "input": "x", "stream": True}),
            (
                "/v1/messages",
                {"model": "parrot", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "stream": True},
            ),
            ("/agents/parrot", {"messages": "x"}),
        ):
            began = asyncio.get_running_loop().time()
            answer = await client.post(path, json={**body, "conversation": "c1"})
            assert answer.status_code == 200
            assert asyncio.get_running_loop().time() - began >= 5.0
        last = await say(client, "last")

    assert last.count("user: x") > 5


async def test_a_store_that_fails_is_a_503_and_the_conversation_goes_on_afterwards(log: list[Any]) -> None:
    class Broken(MemoryConversations):
        fails = True

        async def save(self, owner: str, id: str, data: bytes, *, after: str | None) -> str | None:
            if self.fails:
                raise OSError("the disk is full")
            return await super().save(owner, id, data, after=after)

    store = Broken()
    async with in_process(app_for(parrot, conversations=store)) as client:
        failed = await client.post("/agents/parrot", json={"messages": "x", "conversation": "c1"})
        store.fails = False
        assert await say(client, "y") == "user: y"

    assert failed.status_code == 503
    assert "disk" not in failed.text
    assert any("the disk is full" in entry.get("error", "") for entry in log)


async def test_a_model_gets_the_conversation() -> None:
    script = Script("Hello, Ann.", "You are Ann.")
    async with in_process(app_for({"clerk": ScriptedModel.fork(script=script)})) as client:
        await say(client, "I am Ann.", "c1", "clerk")
        await say(client, "Who am I?", "c1", "clerk")

    said = [str(message) for message in script.requests[-1].messages]
    assert said == ["I am Ann.", "Hello, Ann.", "Who am I?"]


async def test_a_lazy_reply_that_nobody_reads_is_saved_all_the_same() -> None:
    @miniagent
    async def lazy(ctx: InteractionContext) -> None:
        ctx.reply(TextMessage.promise(message_token_streamer=told, start_soon=False))

    async with in_process(app := app_for(lazy)) as client:
        body = {"model": "lazy", "input": "Hi", "background": True, "conversation": "c1"}
        await client.post("/v1/responses", json=body)
        async with asyncio.timeout(10):  # only so that a failure does not hang
            await app._service.runs.wait_idle()
        body = {"model": "lazy", "input": "Hi", "conversation": "c1"}
        second = await client.post("/v1/responses", json=body)

    assert second.status_code == 200


class Receipt(Message):
    number: int


def told(_: Any) -> Any:
    async def tokens() -> Any:
        yield "letter by letter"

    return tokens()


@pytest.mark.parametrize(
    "reply",
    [
        "plain",
        UserMessage("of a user"),
        SystemMessage("of a system"),
        ErrorMessage("ValueError: no"),
        AssistantMessage("of an assistant"),
        {"number": 1},
        Receipt(number=1),
        TextMessage.promise,
    ],
    ids=lambda reply: type(reply).__name__,
)
@pytest.mark.parametrize("goes_on", ["conversation", "previous_response_id"])
async def test_what_an_agent_replied_is_the_assistants_in_later_turns(reply: Any, goes_on: str) -> None:
    script = Script("Fine.")
    model = ScriptedModel.fork(script=script)

    @miniagent
    async def clerk(ctx: InteractionContext) -> None:
        messages = await ctx.message_promises
        if len(messages) > 1:
            ctx.reply(model.inquire(messages))
        else:
            ctx.reply(reply(message_token_streamer=told) if callable(reply) else reply)

    async with in_process(app_for(clerk)) as client:
        body = {"model": "clerk", "input": "Hi"}
        more = {"conversation": "c1"} if goes_on == "conversation" else {}
        first = (await client.post("/v1/responses", json={**body, **more})).json()
        more = more or {"previous_response_id": first["id"]}
        await client.post("/v1/responses", json={**body, **more})

    assert [role_of(message) for message in script.requests[-1].messages] == ["user", "assistant", "user"]
    assert str(script.requests[-1].messages[1]) == first["output"][0]["content"][0]["text"]


@pytest.mark.real_time
async def test_clients_of_openai_begin_a_conversation_go_on_with_it_and_delete_it() -> None:
    async with (
        served(app_for(parrot)) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=TOKEN, max_retries=0) as client,
    ):
        conversation = await client.conversations.create(
            items=[{"type": "message", "role": "user", "content": "zero"}], metadata={"topic": "numbers"}
        )
        found = await client.conversations.retrieve(conversation.id)
        first = await client.responses.create(
            model="parrot", input="one", instructions="Count.", conversation=conversation.id
        )
        second = await client.responses.create(model="parrot", input="two", conversation={"id": conversation.id})
        chat = await client.chat.completions.create(
            model="parrot",
            messages=[{"role": "user", "content": "three"}],
            extra_body={"conversation": conversation.id},
        )
        with pytest.raises(openai.BadRequestError, match="not both"):
            await client.responses.create(
                model="parrot", input="x", conversation=conversation.id, previous_response_id=second.id
            )
        with pytest.raises(openai.BadRequestError, match="not both"):
            await client.responses.create(
                model="parrot",
                input="x",
                previous_response_id=second.id,
                extra_headers={"X-Conversation": conversation.id},
            )
        deleted = await client.conversations.delete(conversation.id)
        with pytest.raises(openai.NotFoundError):
            await client.conversations.retrieve(conversation.id)

    assert found.metadata == {"topic": "numbers"}
    assert first.output_text == "system: Count. | user: zero | user: one"
    assert first.conversation is not None
    assert first.conversation.id == conversation.id
    assert second.output_text.endswith(" | user: two")
    assert "user: two" in (chat.choices[0].message.content or "")
    assert deleted.deleted


@pytest.mark.real_time
async def test_a_websocket_is_a_turn_too() -> None:
    async with served(app_for(parrot)) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        await say(client, "one")
        async with websockets.connect(f"{url.replace('http', 'ws')}/agents/parrot", additional_headers=AUTH) as socket:
            await socket.send(json.dumps({"type": "open", "conversation": "c1"}))
            await socket.send(json.dumps({"type": "message", "content": "two", "role": "user"}))
            await socket.send(json.dumps({"type": "finish"}))
            events = [json.loads(frame) async for frame in socket]
        third = await say(client, "three")

    (text,) = [one["message"]["text"] for one in events if one["type"] == "message"]
    assert text == "user: one | assistant: user: one | user: two"
    assert third == f"user: one | assistant: user: one | user: two | assistant: {text} | user: three"


@pytest.mark.real_time
async def test_a_client_that_goes_away_while_it_waits_is_not_served() -> None:
    held = Held()
    async with served(app_for(held.agent)) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        body = {"messages": "x", "conversation": "a"}
        first = asyncio.create_task(client.post("/agents/held", json=body))
        await soon(held.waiting)
        with pytest.raises(httpx2.ReadTimeout):
            await client.post("/agents/held", json=body, timeout=0.2)
        held.waiting.clear()
        held.let_go.set()
        await first
        assert (await client.post("/agents/held", json=body)).status_code == 200
        interactions = (await client.get("/interactions")).json()["interactions"]

    assert interactions == []


@pytest.mark.real_time
async def test_a_websocket_whose_client_leaves_while_it_waits_gives_up_its_place() -> None:
    held = Held()
    limits = Limits(conversation_waiting=1)
    async with (
        served(app_for([held.agent], limits=limits)) as url,
        httpx2.AsyncClient(base_url=url, headers=AUTH) as client,
    ):
        body = {"messages": "x", "conversation": "a"}
        first = asyncio.create_task(client.post("/agents/held", json=body))
        await soon(held.waiting)
        async with websockets.connect(f"{url.replace('http', 'ws')}/agents/held", additional_headers=AUTH) as socket:
            await socket.send(json.dumps({"type": "open", "conversation": "a"}))
            await socket.send(json.dumps({"type": "message", "content": "y"}))
            async with asyncio.timeout(10):  # only so that a failure does not hang
                while (await client.post("/agents/held", json=body, headers=SOON)).status_code != 429:
                    pass
        async with asyncio.timeout(10):
            while (await client.post("/agents/held", json=body, headers=SOON)).status_code == 429:
                pass
        held.let_go.set()
        assert (await first).status_code == 200


SERVICE = """
    from miniagents import miniagent
    from miniagents.ext.serving import SqliteConversations, agent_app

    @miniagent
    class Keeper:
        def __init__(self):
            self.count = 0
        def get_state(self):
            return self.count
        def set_state(self, state):
            self.count = state
        async def __call__(self, ctx):
            self.count += 1
            ctx.reply(f"{self.count}")

    app = agent_app(Keeper, auth="a-token", admin_auth=None, conversations=SqliteConversations("conversations.db"))
"""


@pytest.mark.real_time
def test_a_conversation_goes_on_after_the_process_was_killed(tmp_path: Path) -> None:
    (tmp_path / "keeping.py").write_text(textwrap.dedent(SERVICE))
    command = [sys.executable, "-m", "miniagents.ext.serving.command", "keeping:app", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    said: list[str] = []

    def serve(times: int) -> None:
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                line = next(line for line in process.stderr if "running on" in line)
                url = line.split("running on ")[1].split(" ")[0]
                headers = {"authorization": "Bearer a-token"}
                with httpx2.Client(base_url=url, headers=headers, timeout=30) as client:
                    for _ in range(times):
                        answer = client.post("/agents/Keeper", json={"messages": "x", "conversation": "c1"})
                        said.append(answer.json()["messages"][0]["text"])
            finally:
                process.kill()

    serve(2)
    serve(2)

    assert said == ["1", "2", "3", "4"]


def test_options_are_checked() -> None:
    with pytest.raises(InvalidOptionError, match="conversation_idle"):
        agent_app(parrot, conversation_idle=0)
    for name in ("conversation_messages", "conversation_bytes", "conversation_waiting"):
        with pytest.raises(InvalidOptionError, match=name):
            Limits(**{name: -1})
