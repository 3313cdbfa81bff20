"""Items of the Responses API, with the official SDK of OpenAI: references, what a response was made of, what not every
agent takes."""

import asyncio
import base64
import typing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
import openai
import pytest
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import (
    Response,
    ResponseStreamEvent,
    response_create_params,
    response_input_item_param,
)
from openai.types.responses.response_item_list import ResponseItemList

from miniagents import InteractionContext, Message, MiniAgent, UserMessage, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms import (
    AudioMessage,
    FileMessage,
    ImageMessage,
    NativeMessage,
    OpenAIAgent,
    ReplyMessage,
    ToolResultMessage,
)
from miniagents.ext.serving import Limits, MemoryResponses, Served, agent_app
from miniagents.ext.serving.http.parsing import _SMALL
from miniagents.ext.serving.openai.item_input import _OWN_ITEMS, OTHER_ITEMS
from miniagents.ext.serving.openai.references import References
from miniagents.ext.serving.openai.response_store import StoredResponse
from miniagents.ext.serving.openai.responses_input import Echoed, ResponsesRequest
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel
from tests.ext.serving.agents import Held, echo, soon
from tests.ext.serving.openai.test_chat import client_of
from tests.ext.serving.servers import AUTH, TOKEN, in_process, served
from tests.ext.serving.strict import strict

pytestmark = pytest.mark.real_time

BOB = "the-token-of-bob"
HELLO: Any = {"role": "user", "content": "Hello!"}
WAV = base64.b64encode(b"RIFF").decode()


def ref(id: str) -> Any:
    return {"type": "item_reference", "id": id}


@asynccontextmanager
async def serving(agents: Any, **options: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    app = agent_app(agents, auth={"ann": TOKEN, "bob": BOB}, admin_auth=None, **options)
    async with served(app) as url, client_of(url) as client:
        yield client


class Listener:
    """An agent that hears what it is told.

    Attributes:
        heard: The messages, call by call.
        agent: The agent.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[Message, ...]] = []

        @miniagent
        async def listener(ctx: InteractionContext) -> None:
            self.heard.append(tuple(await ctx.message_promises))
            ctx.reply("I see.")

        self.agent: MiniAgent = listener


# References


async def test_a_reference_stands_for_the_item_that_it_names() -> None:
    two = (Call("weather", {"city": "Paris"}, id="c1"), Call("weather", {"city": "Rome"}, id="c2"))
    script = Script("Hello Ann!", Reply("Let me see.", calls=two), "20 degrees.")
    async with serving(ScriptedModel.fork(alias="clerk", script=script)) as client:
        first = await client.responses.create(model="clerk", input=[HELLO])
        second = await client.responses.create(model="clerk", input=[HELLO, ref(first.output[0].id or ""), HELLO])
        results: Any = [{"type": "function_call_output", "call_id": id, "output": id} for id in ("c1", "c2")]
        said = [ref(item.id or "") for item in second.output]
        await client.responses.create(model="clerk", input=[HELLO, *said, *results])

    assert [str(one) for one in script.requests[1].messages] == ["Hello!", "Hello Ann!", "Hello!"]
    assert script.requests[1].messages[1].role == "assistant"
    reply, *rest = script.requests[2].messages[1:]
    assert isinstance(reply, ReplyMessage)
    assert (reply.content, [call.id for call in reply.tool_calls]) == ("Let me see.", ["c1", "c2"])
    assert [(one.name, one.call_id) for one in rest if isinstance(one, ToolResultMessage)] == [
        ("weather", "c1"),
        ("weather", "c2"),
    ]


async def test_a_reference_names_a_call_alone_or_an_item_of_the_input() -> None:
    two = (Call("f", {}, id="c1"), Call("f", {}, id="c2"))
    script = Script(Reply("Let me see.", calls=two), "Done.")
    async with serving(ScriptedModel.fork(alias="clerk", script=script)) as client:
        picture: Any = {"type": "input_image", "image_url": "https://example.com/a.png"}
        asked: Any = {"role": "user", "content": [{"type": "input_text", "text": "Look"}, picture]}
        first = await client.responses.create(model="clerk", input=[asked])
        (item,) = (await client.responses.input_items.list(first.id)).data
        second = await client.responses.create(
            model="clerk", input=[ref(item.id or ""), {"id": first.output[2].id or ""}, ref(first.output[1].id or "")]
        )
        listed = await client.responses.input_items.list(second.id, order="asc")

    look, image, reply = script.requests[1].messages[:3]
    assert (str(look), isinstance(image, ImageMessage)) == ("Look", True)
    assert isinstance(reply, ReplyMessage)
    assert (reply.content, [call.id for call in reply.tool_calls]) == ("", ["c2", "c1"])
    assert [(one.type, one.id) for one in listed.data] == [
        ("message", item.id),
        ("function_call", first.output[2].id),
        ("function_call", first.output[1].id),
    ]


async def test_tools_of_the_agent_do_not_come_with_a_reference() -> None:
    def population(city: str) -> int:
        return 2_100_000

    script = Script(Reply("Let me see.", calls=(Call("population", {"city": "Paris"}),)), "2.1 million.", "Yes.")
    async with serving(ScriptedModel.fork(alias="clerk", script=script, tools=[population])) as client:
        first = await client.responses.create(model="clerk", input="Paris?")
        await client.responses.create(model="clerk", input=[*(ref(one.id or "") for one in first.output), HELLO])
        listed = [item async for item in client.responses.input_items.list(first.id)]

    assert [item.id for item in first.output] == [f"msg_{first.id[5:]}_0", f"msg_{first.id[5:]}_1"]
    assert [str(one) for one in script.requests[2].messages] == ["Let me see.", "2.1 million.", "Hello!"]
    assert not any(one.tool_calls for one in script.requests[2].messages if isinstance(one, ReplyMessage))
    assert [item.type for item in listed] == ["message"]


async def test_what_is_not_stored_or_is_anothers_is_not_found() -> None:
    held = Held()
    async with serving([echo, held.agent]) as client:
        mine = await client.responses.create(model="echo", input="Hi")
        passing = await client.responses.create(model="echo", input="Hi", store=False)
        running = await client.responses.create(model="held", input="Hi", background=True)
        await soon(held.waiting)
        bob = client.with_options(api_key=BOB)
        for who, id in (
            (bob, mine.output[0].id),
            (client, passing.output[0].id),
            (client, f"msg_{running.id[5:]}_0"),
            (client, f"{mine.output[0].id}0"),
            (client, "msg_1"),
            (client, ""),
        ):
            with pytest.raises(openai.NotFoundError, match="Items are not persisted when `store` is set") as caught:
                await who.responses.create(model="echo", input=[HELLO, ref(id or "")])
            assert caught.value.param == "input[1]"
        await client.responses.create(model="echo", input=[ref(mine.output[0].id or "")])
        await client.responses.delete(mine.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.create(model="echo", input=[ref(mine.output[0].id or "")])
        held.let_go.set()


async def test_no_item_comes_twice() -> None:
    async with serving(echo) as client:
        first = await client.responses.create(model="echo", input="Hi")
        again = ref(first.output[0].id or "")
        with pytest.raises(openai.BadRequestError, match="Duplicate item found with id") as twice:
            await client.responses.create(model="echo", input=[again, again])
        with pytest.raises(openai.BadRequestError, match="Duplicate item found with id") as there:
            await client.responses.create(model="echo", input=[again], previous_response_id=first.id)

    assert (twice.value.param, there.value.param) == ("input[1]", "input[0]")


async def test_a_request_refers_to_so_many_messages_at_most() -> None:
    async with serving(echo, limits=Limits(messages=3)) as client:
        texts: Any = [{"type": "input_text", "text": str(n)} for n in range(4)]
        first = await client.responses.create(model="echo", input=[{"role": "user", "content": texts}])
        (item,) = (await client.responses.input_items.list(first.id)).data
        with pytest.raises(openai.BadRequestError, match="more than 3 messages"):
            await client.responses.create(model="echo", input=[ref(item.id or "")])


async def test_what_a_request_refers_to_counts_as_its_own_bytes() -> None:
    class Sizes(MemoryResponses):
        asked: typing.ClassVar[list[int]] = []

        async def add(self, response: StoredResponse) -> None:
            self.asked.append(response.asked)
            await super().add(response)

    async with serving(echo, responses=Sizes()) as client:
        first = await client.responses.create(model="echo", input="x" * 10_000)
        (item,) = (await client.responses.input_items.list(first.id)).data
        await client.responses.create(model="echo", input=[ref(item.id or "")])

    assert Sizes.asked[1] > 10_000


async def test_references_work_in_a_body_that_is_parsed_elsewhere() -> None:
    listener = Listener()
    async with serving(listener.agent) as client:
        first = await client.responses.create(model="listener", input="Hi")
        large: Any = {"role": "user", "content": "x" * (_SMALL + 1)}
        await client.responses.create(model="listener", input=[large, ref(first.output[0].id or "")])

    assert [len(str(one)) for one in listener.heard[1]] == [_SMALL + 1, len("I see.")]


async def test_a_response_is_looked_through_without_what_it_goes_on_with() -> None:
    store = MemoryResponses()
    async with serving(echo, responses=store) as client:
        first = await client.responses.create(model="echo", input="Hi")
        second = await client.responses.create(model="echo", input="More", previous_response_id=first.id)
    name = second.id.removeprefix("resp_")
    found = await References(store, Limits())._items(name, "ann")

    assert set(found) == {f"msg_{name}_in0", *(item.id for item in second.output)}


# Without input


async def test_a_response_without_input_goes_on_with_what_is_there() -> None:
    script = Script("one", "two", "three", "four")
    async with serving(ScriptedModel.fork(alias="clerk", script=script)) as client:
        first = await client.responses.create(model="clerk", input="Hi")
        second = await client.responses.create(model="clerk", previous_response_id=first.id)
        conversation = await client.conversations.create(items=[HELLO])
        third = await client.responses.create(model="clerk", conversation=conversation.id)
        header = {"X-Conversation": conversation.id}
        fourth = await client.responses.create(model="clerk", input=[], extra_headers=header)

    assert (second.output_text, third.output_text, fourth.output_text) == ("two", "three", "four")
    assert [str(one) for one in script.requests[1].messages] == ["Hi", "one"]
    assert [str(one) for one in script.requests[2].messages] == ["Hello!"]
    assert [str(one) for one in script.requests[3].messages] == ["Hello!", "three"]


@pytest.mark.parametrize("given", [{}, {"input": None}, {"input": []}, {"input": ""}, {"instructions": "Hi"}])
async def test_a_response_to_nothing_is_refused_in_the_words_of_the_api(given: Any) -> None:
    async with serving(echo) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.post("/responses", cast_to=object, body={"model": "echo", **given})

    words = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided."
    assert (caught.value.body["message"], caught.value.code) == (words, "missing_required_parameter")  # type: ignore[index]


async def test_a_prompt_template_is_for_an_agent_that_takes_it() -> None:
    @miniagent
    async def templated(ctx: InteractionContext, prompt: Any = None) -> None:
        ctx.reply(f"as {prompt['id']} says")

    async with serving({"templated": Served(templated, arguments=("prompt",)), "echo": echo}) as client:
        answer = await client.responses.create(model="templated", prompt={"id": "pmpt_1"})
        with pytest.raises(openai.BadRequestError, match="takes no prompt template") as caught:
            await client.responses.create(model="echo", prompt={"id": "pmpt_1"})

    assert (answer.output_text, caught.value.param) == ("as pmpt_1 says", "prompt")
    assert answer.prompt is not None
    assert answer.prompt.id == "pmpt_1"


# What a response was made of


async def test_input_items_are_listed_in_pages_with_what_came_before() -> None:
    async with serving(echo) as client:
        first = await client.responses.create(model="echo", input=[HELLO, {"role": "developer", "content": "Be nice."}])
        second = await client.responses.create(
            model="echo", input="More", previous_response_id=first.id, instructions="Be brief."
        )
        newest = [item async for item in client.responses.input_items.list(second.id)]
        oldest = [item async for item in client.responses.input_items.list(second.id, order="asc", limit=2)]
        page = await client.responses.input_items.list(second.id, order="asc", limit=2, after=oldest[0].id or "")
        last = await client.responses.input_items.list(second.id, after=oldest[0].id or "")
        with pytest.raises(openai.NotFoundError):
            await client.responses.input_items.list(second.id, after="msg_1")
        with pytest.raises(openai.NotFoundError):
            await client.with_options(api_key=BOB).responses.input_items.list(second.id)

    texts = [item.content[0].text for item in oldest]  # type: ignore[index,union-attr]
    assert texts == ["Hello!", "Be nice.", "You said: Hello!", "You said: Be nice.", "More"]
    assert [item.role for item in oldest] == ["user", "system", "assistant", "assistant", "user"]  # type: ignore[union-attr]
    assert [item.id for item in newest] == [item.id for item in reversed(oldest)]
    assert [item.id for item in oldest[2:4]] == [item.id for item in first.output]
    assert ([item.id for item in page.data], page.has_next_page()) == ([oldest[1].id, oldest[2].id], True)
    assert (last.data, last.has_next_page()) == ([], False)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=1e3", "order=up", "include[]=all"])
async def test_a_wrong_query_of_a_list_names_the_parameter(query: str) -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        response = (await client.post("/v1/responses", json={"model": "echo", "input": "Hi"})).json()
        answer = await client.get(f"/v1/responses/{response['id']}/input_items?{query}")
        fine = await client.get(f"/v1/responses/{response['id']}/input_items?include[]=reasoning.encrypted_content")

    assert (answer.status_code, fine.status_code) == (400, 200)
    assert answer.json()["error"]["param"] == query.partition("=")[0].removesuffix("[]")


MANY: list[Any] = [
    {"role": "system", "content": "Be nice."},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Look"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
            {"type": "input_image", "file_id": "file-1"},
            {"type": "input_file", "file_id": "file-2"},
            {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
        ],
    },
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    {
        "type": "function_call_output",
        "call_id": "c1",
        "output": [
            {"type": "input_text", "text": "1"},
            {"type": "input_image", "image_url": "https://example.com/a.png"},
            {"type": "input_file", "file_id": "file-3"},
        ],
    },
    {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
    {"type": "custom_tool_call_output", "call_id": "c2", "output": "y"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"},
]


async def test_all_answers_are_what_the_sdk_declares() -> None:
    app = agent_app(Served(echo, wants=("items", "file_ids")), auth=TOKEN, admin_auth=None)
    body: dict[str, Any] = {"model": "echo", "input": MANY, **ECHOED, "instructions": "Hi", "metadata": {"a": "b"}}
    async with in_process(app) as client:
        made = await client.post("/v1/responses", json=body)
        response: Response = strict(Response, made.content)
        strict(Response, (await client.get(f"/v1/responses/{response.id}")).content)
        listed = await client.get(f"/v1/responses/{response.id}/input_items?order=asc")
        items: ResponseItemList = strict(ResponseItemList, listed.content)

    assert [item.type for item in items.data] == [item.get("type", "message") for item in MANY]
    assert len({item.id for item in items.data}) == len(MANY)
    shown = listed.json()["data"]
    assert [part["type"] for part in shown[1]["content"]] == [part["type"] for part in MANY[1]["content"]]
    assert shown[1]["content"][3] == MANY[1]["content"][3]
    for number in (5, 6, 7, 8):
        assert {**MANY[number], "id": shown[number]["id"]}.items() <= shown[number].items()


async def test_streams_chat_completions_and_models_are_what_the_sdk_declares() -> None:
    script = Script(Reply("Let me see.", calls=(Call("f", {}, id="c1"),)))
    app = agent_app(ScriptedModel.fork(alias="clerk", script=script), auth=TOKEN, admin_auth=None)
    async with in_process(app) as client:
        models = await client.get("/v1/models")
        model = await client.get("/v1/models/clerk")
        chat = {"model": "clerk", "messages": [{"role": "user", "content": "Hi"}]}
        whole = await client.post("/v1/chat/completions", json=chat)
        stream = await client.post("/v1/chat/completions", json={**chat, "stream": True})
        events = await client.post("/v1/responses", json={"model": "clerk", "input": "Hi", "stream": True})

    listed = msgspec.json.decode(models.content)
    assert (listed["object"], listed["data"]) == ("list", [msgspec.json.decode(model.content)])
    assert strict(Model, model.content).owned_by == "miniagents"
    strict(ChatCompletion, whole.content)
    *chunks, done = [line.removeprefix("data: ") for line in stream.text.split("\n") if line.startswith("data: ")]
    assert (len([strict(ChatCompletionChunk, one) for one in chunks]) > 3, done) == (True, "[DONE]")
    data = [line.removeprefix("data: ") for line in events.text.split("\n") if line.startswith("data: ")]
    more = {"store", "name"}  # the event says which function it was, too
    kinds = [strict(ResponseStreamEvent, one, more).type for one in data]  # type: ignore[var-annotated]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


# What a response repeats

ECHOED: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.25,
    "max_output_tokens": 1000,
    "max_tool_calls": 5,
    "top_logprobs": 3,
    "parallel_tool_calls": False,
    "tool_choice": {"type": "function", "name": "f"},
    "truncation": "auto",
    "service_tier": "flex",
    "user": "ann",
    "safety_identifier": "s",
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
}


async def test_a_response_repeats_what_was_asked_for() -> None:
    tools: Any = [
        {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}},
        {"type": "web_search", "search_context_size": "low"},
    ]
    async with serving(echo) as client:
        plain = await client.responses.create(model="echo", input="Hi")
        response = await client.responses.create(
            model="echo",
            input="Hi",
            instructions="Be nice.",
            metadata={"a": "b"},
            previous_response_id=plain.id,
            store=False,
            tools=tools,
            text={"verbosity": "low"},
            reasoning={"effort": "low"},
            **ECHOED,
        )
        events = [
            event async for event in await client.responses.create(model="echo", input="Hi", stream=True, **ECHOED)
        ]

    shown = response.to_dict()
    assert {name: shown[name] for name in ECHOED} == ECHOED
    assert {name: events[0].response.to_dict()[name] for name in ECHOED} == ECHOED
    assert {name: events[-1].response.to_dict()[name] for name in ECHOED} == ECHOED
    assert (shown["instructions"], shown["metadata"], shown["previous_response_id"], shown["store"]) == (
        "Be nice.",
        {"a": "b"},
        plain.id,
        False,
    )
    assert shown["tools"] == [{**tools[0], "description": None, "strict": True}, tools[1]]
    assert shown["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert shown["reasoning"] == {"effort": "low", "summary": None}
    assert (plain.tools, plain.tool_choice, plain.truncation, plain.temperature) == ([], "auto", "disabled", None)
    assert plain.completed_at is not None
    assert plain.completed_at >= plain.created_at


async def test_only_what_is_complete_was_completed() -> None:
    held = Held()
    script = Script(Reply("one two", stop_reason="max_tokens"))
    async with serving([held.agent, ScriptedModel.fork(alias="clerk", script=script)]) as client:
        running = await client.responses.create(model="held", input="Hi", background=True)
        await soon(held.waiting)
        cancelled = await client.responses.cancel(running.id)
        cut = await client.responses.create(model="clerk", input="Hi")

    assert (running.completed_at, cancelled.completed_at, cut.completed_at) == (None, None, None)
    assert cut.status == "incomplete"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name"),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"truncation": "some"}, "truncation"),
        ({"prompt": {}}, "prompt.id"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"a": "x" * 513}}, "metadata[...]"),
    ],
)
async def test_a_wrong_option_is_named(change: Any, param: str) -> None:
    async with serving(echo) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.post("/responses", cast_to=object, body={"model": "echo", "input": "Hi", **change})

    assert caught.value.param == param


async def test_an_argument_of_an_agent_that_is_called_like_an_option_may_be_anything() -> None:
    @miniagent
    async def painter(ctx: InteractionContext, text: str, user: str) -> None:
        ctx.reply(f"{text} for {user}")

    async with serving(painter) as client:
        body = {"model": "painter", "input": "Hi", "text": "a tree", "user": "ann"}
        answer = await client.post("/responses", cast_to=Response, body=body)

    assert answer.output_text == "a tree for ann"
    assert answer.text is not None
    assert answer.text.to_dict() == {"format": {"type": "text"}}
    assert answer.user == "ann"


def test_every_option_of_the_api_is_repeated_or_known_not_to_be() -> None:
    declared = set(typing.get_type_hints(response_create_params.ResponseCreateParamsBase)) | {"stream"}
    ours = {field.name for kind in (Echoed, ResponsesRequest) for field in msgspec.structs.fields(kind)}

    assert ours <= declared
    assert declared - ours == {
        "access_programs",
        "background_options",
        "context_management",
        "image",
        "include",
        "moderation",
        "prompt_cache_options",
        "stream_options",
    }


# What not every agent takes


def test_every_type_of_item_of_the_api_is_known() -> None:
    def literals(kind: Any) -> set[str]:
        inner = typing.get_args(kind)
        return {one for one in inner if isinstance(one, str)}.union(*(literals(one) for one in inner))

    items = typing.get_args(response_input_item_param.ResponseInputItemParam)
    declared = set().union(*(literals(typing.get_type_hints(item)["type"]) for item in items))

    assert declared == OTHER_ITEMS | set(_OWN_ITEMS)


SPECIAL: list[tuple[Any, str, str]] = [
    *(
        ({"type": kind, "id": "x"}, kind, "input[1]")
        for kind in sorted(OTHER_ITEMS - {"reasoning"})
        if "custom" not in kind
    ),
    (MANY[5], "custom_tool_call", "input[1]"),
    (MANY[6], "custom_tool_call_output", "input[1]"),
    (
        {"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]},
        "input_image",
        "input[1].content[0]",
    ),
    (
        {"role": "user", "content": [{"type": "input_text", "text": ""}, {"type": "input_file", "file_id": "file-1"}]},
        "input_file",
        "input[1].content[1]",
    ),
    (
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}]},
        "input_audio",
        "input[1].content[0]",
    ),
]


@pytest.mark.parametrize(("item", "kind", "where"), SPECIAL)
async def test_what_an_agent_does_not_want_is_named_with_its_place(item: Any, kind: str, where: str) -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/v1/responses", json={"model": "echo", "input": [HELLO, item]})

    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, where, "unsupported_input")
    assert error["message"] == f"The agent 'echo' takes no input of the type {kind!r} ({where})"


async def test_what_an_agent_wants_reaches_it() -> None:
    listener = Listener()
    wanting = Served(listener.agent, wants=("audio", "file_ids", "items"))
    async with in_process(agent_app(wanting, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post(
            "/v1/responses", json={"model": "listener", "input": [item for item, _, _ in SPECIAL]}
        )

    assert answer.status_code == 200
    (heard,) = listener.heard
    items = [one for one in heard if isinstance(one, NativeMessage)]
    assert [one.kind for one in items] == [kind for _, kind, where in SPECIAL if where == "input[1]"]
    assert items[0].item == SPECIAL[0][0]
    image, text, file, sound = heard[len(items) :]
    assert (image, text, file) == (ImageMessage(file_id="file-1"), UserMessage(""), FileMessage(file_id="file-1"))
    assert sound == AudioMessage(data=b"RIFF", media_type="audio/wav")


async def test_what_a_tool_shows_comes_as_parts_of_its_result() -> None:
    def result(*output: Any) -> Any:
        return {"type": "function_call_output", "call_id": "c", "output": list(output)}

    listener = Listener()
    text, image = {"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": "https://example.com/a"}
    by_id = {"type": "input_file", "file_id": "file-1"}
    call: Any = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    async with serving(listener.agent) as client:
        await client.responses.create(model="listener", input=[call, result(text, image)])
        await client.responses.create(model="listener", input=[call, result(text, text)])
        with pytest.raises(openai.BadRequestError) as refused:
            await client.responses.create(model="listener", input=[call, result(text, by_id)])

    shown, said = (heard[1] for heard in listener.heard)
    assert isinstance(shown, ToolResultMessage)
    assert isinstance(said, ToolResultMessage)
    assert shown.parts == (UserMessage("Look"), ImageMessage(url="https://example.com/a"))
    assert (said.content, said.parts) == ("Look\n\nLook", ())
    assert refused.value.param == "input[1].output[1]"


async def test_wants_are_each_agents_own() -> None:
    listener = Listener()
    agents = {"all": Served(listener.agent, wants=("items",)), "sound": Served(listener.agent, wants=("audio",))}
    async with serving(agents) as client:
        await client.responses.create(model="all", input=[MANY[7]])
        for item in (MANY[7], SPECIAL[-3][0]):
            with pytest.raises(openai.BadRequestError, match="The agent 'sound' takes no input"):
                await client.responses.create(model="sound", input=[item])

    assert len(listener.heard) == 1


def test_what_an_agent_cannot_want_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="wants= takes 'audio', 'file_ids', 'items', 'blocks', not 'video'"):
        agent_app(Served(echo, wants=("video",)), auth=TOKEN, admin_auth=None)  # type: ignore[arg-type]


async def test_what_a_model_thought_is_skipped_where_it_is_not_wanted() -> None:
    plain, wanting = Listener(), Listener()
    agents = {"plain": plain.agent, "wanting": Served(wanting.agent, wants=("items",))}
    async with serving(agents) as client:
        for name in agents:
            await client.responses.create(model=name, input=[MANY[8], HELLO])

    assert [str(one) for one in plain.heard[0]] == ["Hello!"]
    assert [str(one) for one in wanting.heard[0]] == ["[reasoning]", "Hello!"]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "video", "id": "x"}, "input[0].type"),
        ({"type": [], "id": "x"}, "input[0].type"),
        ({"type": "item_reference"}, "input[0].id"),
        ({"type": "web_search_call", "id": 2**70}, "input[0]"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "f"}, "input[0].input"),
        ({"type": "custom_tool_call_output", "call_id": "c"}, "input[0].output"),
        ({"role": "user", "content": [{"type": "input_video"}]}, "input[0].content[0].type"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[0].content[0].image_url"),
        ({"role": "user", "content": [{"type": "input_file"}]}, "input[0].content[0].file_url"),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "!", "format": "wav"}}]},
            "input[0].content[0].input_audio.data",
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": WAV, "format": "ogg"}}]},
            "input[0].content[0].input_audio.format",
        ),
        (
            {"role": "system", "content": [{"type": "input_image", "image_url": "https://example.com"}]},
            "input[0].content[0]",
        ),
        (
            {"type": "function_call_output", "call_id": "c", "output": SPECIAL[-1][0]["content"]},
            "input[0].output[0]",
        ),
    ],
)
async def test_what_is_no_item_is_named_with_its_place(item: Any, param: str) -> None:
    served_one = Served(echo, wants=("audio", "file_ids", "items"))
    async with in_process(agent_app(served_one, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/v1/responses", json={"model": "echo", "input": [item]})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    kind = item["content"][0]["type"] if param.endswith("content[0].type") else item.get("type")
    assert not param.endswith(".type") or repr(kind) in answer.json()["error"]["message"]


async def test_items_go_on_to_a_model_that_takes_them(fake_provider: FakeProvider) -> None:
    fake_provider.reset("Seen.")
    agent = OpenAIAgent.fork(alias="clerk", model="fake-1", api="responses", **fake_provider.openai)
    async with serving(Served(agent, wants=("audio", "file_ids", "items"))) as client:
        await client.responses.create(model="clerk", input=[*MANY, SPECIAL[-1][0]])

    sent = fake_provider.last.body["input"]
    for item in (*MANY[4:], {"type": "input_image", "file_id": "file-1"}, {"type": "input_file", "file_id": "file-2"}):
        assert item in [*sent, *(part for one in sent for part in one.get("content", ()) if isinstance(part, dict))]
    assert sent[-1] == SPECIAL[-1][0]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses/x/input_items"),
        ("POST", "/v1/conversations/x"),
        ("GET", "/v1/conversations/x/items"),
        ("POST", "/v1/conversations/x/items"),
        ("GET", "/v1/conversations/x/items/y"),
        ("DELETE", "/v1/conversations/x/items/y"),
    ],
)
async def test_nothing_is_looked_at_before_the_token(method: str, path: str) -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.request(
            method, f"{path}?limit=x", content=b"{", headers={"authorization": "Bearer no", "x-request-timeout": "x"}
        )
        known = await client.request(method, path, json={"items": [], "metadata": {}}, headers=AUTH)

    assert (answer.status_code, known.status_code) == (401, 404)


async def test_many_references_leave_the_loop_to_others() -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:

        async def make() -> str:
            answer = await client.post("/v1/responses", json={"model": "echo", "input": "Hi"})
            return str(answer.json()["output"][0]["id"])

        ids = [await make() for _ in range(50)]
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        await asyncio.sleep(0)
        answer: httpx2.Response = await client.post(
            "/v1/responses", json={"model": "echo", "input": [ref(id) for id in ids]}
        )
        counting.cancel()

    assert answer.status_code == 200
    assert turns > 50
