"""What was said in a conversation, item by item, and what is attached to it, with the official SDK of OpenAI."""

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.conversations import Conversation, ConversationItem, ConversationItemList

from miniagents import InteractionContext, Message, TextMessage, UserMessage, miniagent
from miniagents.ext.serving import (
    ConversationStore,
    Limits,
    MemoryConversations,
    Served,
    SqliteConversations,
    agent_app,
)
from miniagents.ext.serving.conversations.conversation_state import ConversationState, state_of
from miniagents.messages import encode
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.serving.agents import Held, echo, soon
from tests.ext.serving.conversations.test_conversations import Keeper, parrot, say
from tests.ext.serving.openai.test_items import BOB, HELLO, MANY, serving
from tests.ext.serving.servers import TOKEN, in_process
from tests.ext.serving.strict import strict

pytestmark = pytest.mark.real_time

MORE = ("status",)
"""What the items of custom tools have in an input, and of which the SDK does not say that they have it here."""


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ConversationStore:
    return MemoryConversations() if request.param == "memory" else SqliteConversations(tmp_path / "conversations.db")


async def items_of(client: openai.AsyncOpenAI, id: str) -> list[Any]:
    """The items of a conversation, from the oldest one."""
    return [item async for item in client.conversations.items.list(id, order="asc")]


def text_of(item: Any) -> str:
    return str(item.content[0].text)


async def test_whatever_way_something_was_said_it_is_an_item(store: ConversationStore) -> None:
    async with serving(parrot, conversations=store) as client:
        conversation = await client.conversations.create(items=[{"role": "user", "content": "zero"}])
        response = await client.responses.create(
            model="parrot", input="one", instructions="Be nice.", conversation=conversation.id
        )
        await client.chat.completions.create(
            model="parrot", messages=[{"role": "user", "content": "two"}], extra_body={"conversation": conversation.id}
        )
        body = {"messages": ["three", "four"], "conversation": conversation.id}
        await client.post("/../agents/parrot", cast_to=object, body=body)
        found = await items_of(client, conversation.id)
        one = await client.conversations.items.retrieve(found[2].id, conversation_id=conversation.id)

    assert [item.role for item in found] == [
        "user",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
        "user",
        "assistant",
    ]
    assert [text_of(item) for item in found if item.role == "user"] == ["zero", "one", "two", "three", "four"]
    assert [found[2].id] == [item.id for item in response.output]
    assert one == found[2]
    assert len({item.id for item in found}) == len(found)


async def test_items_are_listed_in_pages() -> None:
    async with serving(echo) as client:
        texts: Any = [{"role": "user", "content": str(n)} for n in range(5)]
        conversation = await client.conversations.create(items=texts)
        newest = [text_of(item) async for item in client.conversations.items.list(conversation.id, limit=2)]
        oldest = await items_of(client, conversation.id)
        page = await client.conversations.items.list(conversation.id, order="asc", after=oldest[1].id, limit=2)
        end = await client.conversations.items.list(conversation.id, order="asc", after=oldest[2].id, limit=2)
        with pytest.raises(openai.NotFoundError) as caught:
            await client.conversations.items.list(conversation.id, after="msg_1")

    assert newest == ["4", "3", "2", "1", "0"]
    assert ([text_of(item) for item in page.data], page.last_id, page.has_more) == (["2", "3"], oldest[3].id, True)
    assert ([text_of(item) for item in end.data], end.has_more) == (["3", "4"], False)
    assert caught.value.param == "after"


async def test_items_that_are_added_come_after_what_was_said(store: ConversationStore) -> None:
    async with serving(parrot, conversations=store) as client:
        conversation = await client.conversations.create()
        await client.responses.create(model="parrot", input="one", conversation=conversation.id)
        added = await client.conversations.items.create(
            conversation.id, items=[HELLO, {"role": "assistant", "content": "Hello yourself!"}]
        )
        answer = await client.responses.create(model="parrot", input="two", conversation=conversation.id)
        found = await items_of(client, conversation.id)

    assert [item.id for item in added.data] == [item.id for item in found[2:4]]
    assert (added.first_id, added.last_id, added.has_more) == (found[2].id, found[3].id, False)
    assert answer.output_text == (
        "user: one | assistant: user: one | user: Hello! | assistant: Hello yourself! | user: two"
    )


async def test_an_item_that_is_deleted_was_never_said(store: ConversationStore) -> None:
    async with serving(parrot, conversations=store) as client:
        picture: Any = {"type": "input_image", "image_url": "https://example.com/a.png"}
        look: Any = {"role": "user", "content": [{"type": "input_text", "text": "Look"}, picture]}
        conversation = await client.conversations.create(items=[HELLO, look, HELLO], metadata={"a": "b"})
        _, looked, last = await items_of(client, conversation.id)
        left = await client.conversations.items.delete(looked.id, conversation_id=conversation.id)
        with pytest.raises(openai.NotFoundError) as caught:
            await client.conversations.items.delete(looked.id, conversation_id=conversation.id)
        with pytest.raises(openai.NotFoundError):
            await client.conversations.items.retrieve(looked.id, conversation_id=conversation.id)
        answer = await client.responses.create(model="parrot", input="two", conversation=conversation.id)
        found = await items_of(client, conversation.id)

    assert (left.id, left.metadata) == (conversation.id, {"a": "b"})
    assert caught.value.param == "item_id"
    assert answer.output_text == "user: Hello! | user: Hello! | user: two"
    assert found[1].id == last.id


async def test_of_a_reply_its_text_and_each_call_can_be_deleted() -> None:
    two = (Call("f", {}, id="c1"), Call("f", {}, id="c2"))
    script = Script(Reply("Let me see.", calls=two), "Done.", "Done.", "Done.")
    async with serving(ScriptedModel.fork(alias="clerk", script=script)) as client:
        conversation = (await client.conversations.create()).id
        first = await client.responses.create(model="clerk", input="Hi", conversation=conversation)
        _, text, one, other = await items_of(client, conversation)
        assert [item.id for item in (text, one, other)] == [item.id for item in first.output]
        await client.conversations.items.delete(one.id, conversation_id=conversation)
        assert [item.id for item in await items_of(client, conversation)][1:] == [text.id, other.id]
        await client.conversations.items.delete(text.id, conversation_id=conversation)
        (_, left) = await items_of(client, conversation)
        assert (left.id, left.call_id) == (other.id, "c2")
        await client.conversations.items.delete(other.id, conversation_id=conversation)
        assert len(await items_of(client, conversation)) == 1
        await client.responses.create(model="clerk", input="Well?", conversation=conversation)

    assert [str(message) for message in script.requests[1].messages] == ["Hi", "Well?"]


async def test_a_refusal_goes_with_the_text_of_its_reply() -> None:
    script = Script(Reply("", refusal="No.", calls=(Call("f", {}, id="c1"),)), "Done.")
    async with serving(ScriptedModel.fork(alias="clerk", script=script)) as client:
        conversation = (await client.conversations.create()).id
        first = await client.responses.create(model="clerk", input="Hi", conversation=conversation)
        _, refused, call = await items_of(client, conversation)
        await client.conversations.items.delete(refused.id, conversation_id=conversation)
        (_, left) = await items_of(client, conversation)
        await client.responses.create(model="clerk", input="Well?", conversation=conversation)

    assert refused.content[0].refusal == "No."
    assert [item.id for item in first.output] == [refused.id, call.id]
    assert left == call
    assert all("refusal" not in message.metadata for message in script.requests[1].messages)


async def test_tools_of_the_agent_are_no_items_and_stay_when_an_item_goes() -> None:
    def population(city: str) -> int:
        return 2_100_000

    script = Script(Reply("Let me see.", calls=(Call("population", {"city": "Paris"}),)), "2.1 million.", "Yes.")
    async with serving(ScriptedModel.fork(alias="clerk", script=script, tools=[population])) as client:
        conversation = (await client.conversations.create()).id
        await client.responses.create(model="clerk", input="Paris?", conversation=conversation)
        found = await items_of(client, conversation)
        await client.conversations.items.delete(found[1].id, conversation_id=conversation)
        left = await items_of(client, conversation)
        await client.responses.create(model="clerk", input="Sure?", conversation=conversation)

    assert [text_of(item) for item in found] == ["Paris?", "Let me see.", "2.1 million."]
    assert [item.id for item in left] == [found[0].id, found[2].id]
    said = [str(message) for message in script.requests[2].messages]
    assert said == ["Paris?", 'population({"city":"Paris"})', "2100000", "2.1 million.", "Sure?"]


async def test_metadata_is_replaced_and_the_instance_of_the_agent_stays() -> None:
    async with in_process(agent_app(Keeper, auth=TOKEN, admin_auth=None)) as client:  # type: ignore[arg-type]
        assert await say(client, "a", agent="Keeper") == "1"
        instance = client._transport.app._service.turns._live["key-1", "c1"].instance  # type: ignore[attr-defined]
        changed = await client.post("/v1/conversations/c1", json={"metadata": {"topic": "tea"}})
        emptied = await client.post("/v1/conversations/c1", json={"metadata": None})
        missing = await client.post("/v1/conversations/c1", json={})
        assert await say(client, "b", agent="Keeper") == "2"
        same = client._transport.app._service.turns._live["key-1", "c1"].instance  # type: ignore[attr-defined]

    assert strict(Conversation, changed.content).metadata == {"topic": "tea"}
    assert strict(Conversation, emptied.content).metadata == {}
    assert (missing.status_code, missing.json()["error"]["param"]) == (400, "metadata")
    assert same is instance


async def test_conversations_of_other_keys_are_not_found() -> None:
    async with serving(echo) as client:
        conversation = (await client.conversations.create(items=[HELLO])).id
        (item,) = await items_of(client, conversation)
        bob = client.with_options(api_key=BOB)
        for asking in (
            bob.conversations.update(conversation, metadata={"a": "b"}),
            bob.conversations.items.create(conversation, items=[HELLO]),
            bob.conversations.items.retrieve(item.id, conversation_id=conversation),
            bob.conversations.items.delete(item.id, conversation_id=conversation),
            bob.conversations.items.list(conversation),
        ):
            with pytest.raises(openai.NotFoundError):
                await asking
        with pytest.raises(openai.NotFoundError):
            await bob.conversations.create(items=[{"type": "item_reference", "id": item.id}])
        assert [one.id for one in await items_of(client, conversation)] == [item.id]
        assert (await client.conversations.retrieve(conversation)).metadata == {}


async def test_references_are_looked_up_for_conversations_too() -> None:
    async with serving(echo) as client:
        response = await client.responses.create(model="echo", input="Hi")
        reference: Any = {"type": "item_reference", "id": response.output[0].id}
        conversation = (await client.conversations.create(items=[reference])).id
        added = await client.conversations.items.create(conversation, items=[HELLO])
        with pytest.raises(openai.NotFoundError, match="Item with id"):
            await client.conversations.items.create(conversation, items=[{"type": "item_reference", "id": "msg_a_0"}])
        found = await items_of(client, conversation)
        other = (await client.conversations.create()).id
        await client.responses.create(
            model="echo", input=[HELLO, reference], instructions="Be nice.", conversation=other
        )
        said = await items_of(client, other)

    assert [item.id for item in found] == [response.output[0].id, added.data[0].id]
    assert text_of(found[0]) == "You said: Hi"
    assert said[1].id == response.output[0].id


async def test_what_a_model_thought_is_no_item_where_no_agent_wants_it() -> None:
    async with serving(echo) as client:
        conversation = (await client.conversations.create(items=[MANY[8], HELLO])).id
        found = await items_of(client, conversation)

    assert [item.type for item in found] == ["message"]


@pytest.mark.parametrize("limit", [{"conversation_messages": 3}, {"conversation_bytes": 2000}])
async def test_a_conversation_does_not_become_longer_than_it_may(limit: Any) -> None:
    async with serving(echo, limits=Limits(**limit)) as client:
        conversation = (await client.conversations.create(items=[HELLO])).id
        long: Any = {"role": "user", "content": "x" * 500}
        await client.conversations.items.create(conversation, items=[long])
        with pytest.raises(openai.ConflictError, match="would be too long"):
            await client.conversations.items.create(conversation, items=[long] * 4)
        assert len(await items_of(client, conversation)) == 2


async def test_a_conversation_does_not_begin_longer_than_it_may() -> None:
    async with serving(echo, limits=Limits(conversation_messages=3, conversation_bytes=100)) as client:
        await client.conversations.create(items=[HELLO] * 3)  # the first ones may be as large as a request
        with pytest.raises(openai.ConflictError, match="would be too long"):
            await client.conversations.create(items=[HELLO] * 4)


async def test_a_conversation_that_is_full_can_have_other_metadata_and_less_items() -> None:
    async with serving(echo, limits=Limits(conversation_messages=3, conversation_bytes=100)) as client:
        conversation = (await client.conversations.create(items=[HELLO] * 3)).id
        changed = await client.conversations.update(conversation, metadata={"a": "b"})
        first, *others = await items_of(client, conversation)
        await client.conversations.items.delete(first.id, conversation_id=conversation)
        left = await items_of(client, conversation)

    assert changed.metadata == {"a": "b"}
    assert left == others


async def test_what_only_anthropic_has_is_a_message_here() -> None:
    block = {"type": "container_upload", "file_id": "file-1"}
    body = {"model": "echo", "max_tokens": 9, "messages": [{"role": "user", "content": [block]}], "conversation": "c"}
    async with serving(Served(echo, wants=("blocks",))) as client:
        await client.post("/messages", cast_to=object, body=body)
        said = await items_of(client, "c")

    assert [(item.type, text_of(item)) for item in said] == [
        ("message", "[container_upload]"),
        ("message", "You said: [container_upload]"),
    ]


async def test_so_many_items_at_once() -> None:
    async with serving(echo, limits=Limits(messages=2)) as client:
        conversation = (await client.conversations.create()).id
        with pytest.raises(openai.BadRequestError) as caught:
            await client.conversations.items.create(conversation, items=[HELLO] * 3)

    assert caught.value.param == "items"


async def test_a_change_waits_for_the_turn_that_is_under_way() -> None:
    held = Held()
    async with serving(held.agent) as client:
        conversation = (await client.conversations.create()).id
        turn = asyncio.create_task(client.responses.create(model="held", input="Hi", conversation=conversation))
        await soon(held.waiting)
        adding = asyncio.create_task(client.conversations.items.create(conversation, items=[HELLO]))
        labelling = asyncio.create_task(client.conversations.update(conversation, metadata={"a": "b"}))
        with pytest.raises(openai.APIStatusError) as caught:
            await client.conversations.update(conversation, metadata={}, extra_headers={"X-Request-Timeout": "0.01"})
        assert await items_of(client, conversation) == []
        held.let_go.set()
        await asyncio.gather(turn, adding, labelling)
        found = await items_of(client, conversation)
        metadata = (await client.conversations.retrieve(conversation)).metadata

    assert caught.value.status_code == 504
    assert [text_of(item) for item in found] == ["Hi", "begun", "done", "Hello!"]
    assert metadata == {"a": "b"}


async def test_so_many_changes_wait() -> None:
    held = Held()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None, limits=Limits(conversation_waiting=1))
    async with in_process(app) as client:
        id = (await client.post("/v1/conversations", json={})).json()["id"]
        body = {"model": "held", "input": "Hi", "conversation": id}
        turn = asyncio.create_task(client.post("/v1/responses", json=body))
        await soon(held.waiting)
        waiting = asyncio.create_task(client.post(f"/v1/conversations/{id}", json={"metadata": {"a": "b"}}))
        while app._service.turns._live["key-1", id].inside < 2:  # noqa: ASYNC110  # nothing says when it has come in
            await asyncio.sleep(0)
        refused = await client.post(f"/v1/conversations/{id}", json={"metadata": {}})
        held.let_go.set()
        done = await asyncio.gather(turn, waiting)
        assert app._service.turns._live == {}

    assert refused.status_code == 429
    assert [answer.status_code for answer in done] == [200, 200]


async def test_another_process_that_changes_it_meanwhile_is_a_conflict() -> None:
    class Overtaken(MemoryConversations):
        is_overtaken = False

        async def save(self, owner: str, id: str, data: bytes, *, after: str | None) -> str | None:
            if self.is_overtaken:
                assert await super().save(owner, id, data, after=after)
            return await super().save(owner, id, data, after=after)

    store = Overtaken()
    app = agent_app(echo, auth=TOKEN, admin_auth=None, conversations=store)
    async with in_process(app) as client:
        id = (await client.post("/v1/conversations", json={})).json()["id"]
        store.is_overtaken = True
        answer = await client.post(f"/v1/conversations/{id}", json={"metadata": {}})
        assert app._service.turns._live == {}

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conversation_changed")


async def test_a_store_that_fails_is_a_503_for_items_too() -> None:
    class Broken(MemoryConversations):
        async def load(self, owner: str, id: str) -> Any:
            raise OSError("the disk is gone")

    app = agent_app(echo, auth=TOKEN, admin_auth=None, conversations=Broken())
    async with in_process(app) as client:
        answers = [
            await client.get("/v1/conversations/x/items"),
            await client.post("/v1/conversations/x/items", json={"items": []}),
            await client.get("/v1/conversations/x/items/y"),
            await client.delete("/v1/conversations/x/items/y"),
            await client.post("/v1/conversations/x", json={"metadata": {}}),
        ]
        assert app._service.turns._live == {}
        assert app._service.gate.inside == 0

    assert [answer.status_code for answer in answers] == [503] * 5


async def test_items_whose_class_is_gone_are_left_out_and_can_be_deleted() -> None:
    store = MemoryConversations()
    gone = encode(UserMessage("x")).replace(b"UserMessage", b"GoneMessage")
    state = ConversationState(said=(gone, encode(UserMessage("Hi"))), ids=(("msg_a_in0",), ("msg_a_in1",)))
    await store.save("key-1", "c1", encode(state), after=None)
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None, conversations=store)) as client:
        listed = await client.get("/v1/conversations/c1/items?order=asc")
        one = await client.get("/v1/conversations/c1/items/msg_a_in0")
        deleted = await client.delete("/v1/conversations/c1/items/msg_a_in0")

    assert [item["id"] for item in listed.json()["data"]] == ["msg_a_in1"]
    assert (one.status_code, deleted.status_code) == (404, 200)
    saved = await store.load("key-1", "c1")
    assert saved is not None
    assert state_of(saved.data).said == state.said[1:]


async def test_what_was_saved_without_ids_is_no_item_and_what_comes_later_is() -> None:
    store = MemoryConversations()
    state = ConversationState(said=(encode(UserMessage("Hi")), encode(UserMessage("there"))))
    await store.save("key-1", "c1", encode(state), after=None)
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None, conversations=store)) as client:
        await say(client, "now", agent="echo")
        listed = (await client.get("/v1/conversations/c1/items?order=asc")).json()["data"]

    assert [item["content"][0]["text"] for item in listed] == [
        "now",
        "You said: Hi",
        "You said: there",
        "You said: now",
    ]


async def test_all_answers_are_what_the_sdk_declares() -> None:
    app = agent_app(Served(echo, wants=("items", "file_ids")), auth=TOKEN, admin_auth=None)
    async with in_process(app) as client:
        made = await client.post("/v1/conversations", json={"metadata": {"a": "b"}})
        id = strict(Conversation, made.content).id  # type: ignore[var-annotated]
        added = await client.post(f"/v1/conversations/{id}/items", json={"items": MANY})
        listed = await client.get(f"/v1/conversations/{id}/items?order=asc")
        items: ConversationItemList = strict(ConversationItemList, listed.content, MORE)
        ones = [await client.get(f"/v1/conversations/{id}/items/{item.id}") for item in items.data]
        deleted = await client.delete(f"/v1/conversations/{id}/items/{items.data[0].id}")
        empty = await client.get(f"/v1/conversations/{id}/items?after={items.data[-1].id}&order=asc")

    assert strict(ConversationItemList, added.content, MORE) == items
    assert [strict(ConversationItem, one.content, MORE) for one in ones] == items.data
    assert strict(Conversation, deleted.content).id == id
    assert strict(ConversationItemList, empty.content).data == []


async def test_an_item_that_no_agent_wants_is_refused_until_one_is_known() -> None:
    agents = {"plain": echo, "wanting": Served(echo, wants=("items",))}
    async with serving(agents) as client:
        conversation = (await client.conversations.create(items=[MANY[7]])).id
        plain = (await client.conversations.create()).id
        await client.responses.create(model="plain", input="Hi", conversation=plain)
        with pytest.raises(openai.BadRequestError, match="The agent 'plain' takes no input") as known:
            await client.conversations.items.create(plain, items=[MANY[7]])
        (item,) = await items_of(client, conversation)
    async with serving(echo) as client:
        with pytest.raises(openai.BadRequestError, match="No agent here takes") as unknown:
            await client.conversations.create(items=[MANY[7]])

    assert item.type == "web_search_call"
    assert (known.value.param, unknown.value.param) == ("items[0]", "items[0]")


async def test_an_agent_that_replies_with_what_it_got_makes_items_of_its_own() -> None:
    @miniagent
    async def mirror(ctx: InteractionContext) -> None:
        async for promise in ctx.message_promises:
            message: Message = await promise
            ctx.reply(message)
        ctx.reply(TextMessage(""))

    async with serving(mirror) as client:
        conversation = (await client.conversations.create()).id
        response = await client.responses.create(model="mirror", input="Hi", conversation=conversation)
        found = await items_of(client, conversation)

    assert [(item.role, text_of(item)) for item in found] == [("user", "Hi"), ("assistant", "Hi")]
    assert found[1].id == response.output[0].id
