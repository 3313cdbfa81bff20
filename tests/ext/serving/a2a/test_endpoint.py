"""Agents behind their cards, called with the client of the protocol's own SDK over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

pytest.importorskip("a2a", reason="the SDK of A2A is not installed: pip install 'miniagents[a2a]'")

from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.helpers.proto_helpers import get_artifact_text, get_message_text, new_message
from a2a.server.context import ServerCallContext
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    Part,
    Role,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskState,
)
from a2a.utils.errors import A2AError, TaskNotFoundError

from miniagents import InteractionContext, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms import ImageMessage
from miniagents.ext.llms.parts import ReasoningMessage
from miniagents.ext.serving import AgentApp, Limits, Served, agent_app
from miniagents.ext.serving.a2a.endpoint import Key
from miniagents.ext.serving.a2a.recent_tasks import RecentTasks
from tests.ext.serving.agents import Held, failing, soon, speller, weather
from tests.ext.serving.servers import AUTH, TOKEN, served

pytestmark = pytest.mark.real_time


@miniagent
async def historian(ctx: InteractionContext) -> None:
    """Says who said what."""
    said = [await message async for message in ctx.message_promises]
    ctx.reply(" | ".join(f"{message.role}: {message}" for message in said))  # type: ignore[attr-defined]


@miniagent
async def painter(ctx: InteractionContext) -> None:
    """Paints."""
    ctx.reply(ImageMessage(data=b"GIF", media_type="image/gif"))
    ctx.reply({"size": 3})


@miniagent
async def clerk(ctx: InteractionContext) -> None:
    """Asks for a colour, deep below."""
    ctx.reply("A moment.")
    ctx.reply(deep.inquire())


@miniagent
async def deep(ctx: InteractionContext) -> None:
    colour = await ctx.wait_for("colour", prompt="Which colour?")
    ctx.reply(f"Painted {colour}.")


def a2a_app(*agents: Any, **options: Any) -> AgentApp:
    app = agent_app(agents, auth={"ann": TOKEN, "bob": "another-token"}, admin_auth=None, **options)
    app.serve_a2a()
    return app


@asynccontextmanager
async def calling(url: str, agent: str, token: str = TOKEN, **config: Any) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=30) as http:
        card = await A2ACardResolver(http, f"{url}/a2a/{agent}").get_agent_card()
        yield ClientFactory(ClientConfig(httpx_client=http, **config)).create(card)


def message(text: str, *, task: Task | None = None, **fields: Any) -> SendMessageRequest:
    ids = {"task_id": task.id, "context_id": task.context_id} if task is not None else {}
    return SendMessageRequest(message=new_message([Part(text=text)], role=Role.ROLE_USER, **ids), **fields)


async def whole(client: Client, request: SendMessageRequest) -> Task:
    """The task after its last event."""
    id = ""
    async for event in client.send_message(request):
        id = event.task.id or event.status_update.task_id or id
    return await client.get_task(GetTaskRequest(id=id))


def texts(task: Task) -> list[str]:
    return [get_artifact_text(artifact, "") for artifact in task.artifacts]


async def test_a_card_says_what_the_agent_does_where_it_is_and_that_callers_need_a_token() -> None:
    async with served(a2a_app(historian)) as url, httpx.AsyncClient() as http:
        place = f"{url}/a2a/historian"
        stranger = await http.get(f"{place}/.well-known/agent-card.json")
        refused = await http.post(place, json={"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}})
        http.headers.update(AUTH)
        card = await A2ACardResolver(http, place).get_agent_card()

    (interface,) = card.supported_interfaces
    assert (stranger.status_code, refused.status_code) == (401, 401)
    assert (card.name, card.description, interface.url) == ("historian", "Says who said what.", place)
    assert card.capabilities.streaming
    assert card.security_schemes["bearer"].http_auth_security_scheme.scheme == "bearer"


async def test_behind_a_proxy_the_card_has_the_address_that_the_app_is_told() -> None:
    app = agent_app(historian, auth=TOKEN, admin_auth=None)
    app.serve_a2a("/agents-of-ours", url="https://agents.example.com/")

    async with served(app) as url, httpx.AsyncClient(headers=AUTH) as http:
        card = await A2ACardResolver(http, f"{url}/agents-of-ours/historian").get_agent_card()

    assert card.supported_interfaces[0].url == "https://agents.example.com/agents-of-ours/historian"
    with pytest.raises(InvalidOptionError, match="already"):
        app.serve_a2a()


async def test_a_text_is_an_artifact_that_grows_by_the_pieces_in_which_it_is_said() -> None:
    async with served(a2a_app(speller)) as url, calling(url, "speller") as client:
        events = [event async for event in client.send_message(message("hey"))]

    kinds = [event.WhichOneof("payload") for event in events]
    updates = [event.artifact_update for event in events if event.HasField("artifact_update")]
    assert kinds == ["task", "status_update", *["artifact_update"] * 4, "status_update"]
    assert [get_artifact_text(update.artifact) for update in updates] == ["h", "e", "y", ""]
    assert [(update.append, update.last_chunk) for update in updates] == [
        (False, False),
        (True, False),
        (True, False),
        (True, True),
    ]
    assert len({update.artifact.artifact_id for update in updates}) == 1
    assert events[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED


async def test_a_caller_that_does_not_stream_gets_the_whole_task() -> None:
    async with served(a2a_app(painter)) as url, calling(url, "painter", streaming=False) as client:
        task = await whole(client, message("Paint!"))

    image, data = [artifact.parts[0] for artifact in task.artifacts]
    assert (image.raw, image.media_type) == (b"GIF", "image/gif")
    assert data.data.struct_value["size"] == 3
    assert task.status.state == TaskState.TASK_STATE_COMPLETED


async def test_the_reasoning_of_a_model_is_not_shown() -> None:
    @miniagent
    async def thinker(ctx: InteractionContext) -> None:
        ctx.reply(ReasoningMessage(content="Hm.", api="chat", item={"reasoning_content": "Hm."}))
        ctx.reply("Four.")

    async with served(a2a_app(thinker)) as url, calling(url, "thinker") as client:
        task = await whole(client, message("2 + 2?"))

    assert texts(task) == ["Four."]


async def test_a_conversation_goes_on_in_its_context() -> None:
    async with served(a2a_app(historian)) as url, calling(url, "historian") as client:
        first = await whole(client, message("Hello!"))
        request = message("And now?")
        request.message.context_id = first.context_id
        second = await whole(client, request)

    assert texts(first) == ["user: Hello!"]
    assert texts(second) == ["user: Hello! | assistant: user: Hello! | user: And now?"]


async def test_arguments_come_in_the_metadata() -> None:
    agent = Served(weather, arguments=("city",))

    async with served(a2a_app(agent)) as url, calling(url, "weather") as client:
        request = message("Now?")
        request.metadata.update({"city": "Rome", "unit": "F"})
        told = await whole(client, request)
        missing = await whole(client, message("Now?"))

    assert told.artifacts[0].parts[0].data.struct_value["city"] == "Rome"
    assert told.artifacts[0].parts[0].data.struct_value["unit"] == "C"
    assert missing.status.state == TaskState.TASK_STATE_FAILED
    assert "city" in get_message_text(missing.status.message)


async def test_the_failure_of_an_agent_says_no_more_than_it_may() -> None:
    async with served(a2a_app(failing)) as url, calling(url, "failing") as client:
        task = await whole(client, message("Hello!"))

    assert task.status.state == TaskState.TASK_STATE_FAILED
    assert get_message_text(task.status.message) == "The agent failed."


async def test_a_cancel_reaches_the_agent() -> None:
    held = Held()

    async with served(a2a_app(held.agent)) as url, calling(url, "held") as client:
        events = client.send_message(message("Hello!"))
        id = (await anext(events)).task.id
        await soon(held.waiting)
        task = await client.cancel_task(CancelTaskRequest(id=id))
        await soon(held.cancelled)
        last = [event async for event in events][-1]

    assert task.status.state == TaskState.TASK_STATE_CANCELED
    assert last.status_update.status.state == TaskState.TASK_STATE_CANCELED


async def test_a_caller_that_goes_away_cancels_nothing_and_reads_the_task_later() -> None:
    held = Held()

    async with served(a2a_app(held.agent)) as url:
        async with calling(url, "held") as client:
            events = client.send_message(message("Hello!"))
            id = (await anext(events)).task.id
            await soon(held.waiting)
            await events.aclose()  # type: ignore[attr-defined]
        async with calling(url, "held") as client:
            held.let_go.set()
            [event async for event in client.subscribe(SubscribeToTaskRequest(id=id))]
            task = await client.get_task(GetTaskRequest(id=id))

    assert texts(task) == ["begun", "done"]
    assert not held.cancelled.is_set()


async def test_a_wait_of_an_agent_below_requires_input_and_the_next_message_is_the_answer() -> None:
    async with served(a2a_app(clerk)) as url, calling(url, "clerk") as client:
        asking = await whole(client, message("Paint!"))
        done = await whole(client, message("blue", task=asking))

    assert asking.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
    assert get_message_text(asking.status.message) == "Which colour?"
    assert texts(asking) == ["A moment."]
    assert done.id == asking.id
    assert done.status.state == TaskState.TASK_STATE_COMPLETED
    assert texts(done) == ["A moment.", "Painted blue."]


async def test_a_task_that_requires_input_can_be_cancelled() -> None:
    cancelled = asyncio.Event()

    @miniagent
    async def asker(ctx: InteractionContext) -> None:
        try:
            await ctx.wait_for("colour")
        finally:
            cancelled.set()

    async with served(a2a_app(asker)) as url, calling(url, "asker") as client:
        asking = await whole(client, message("Paint!"))
        task = await client.cancel_task(CancelTaskRequest(id=asking.id))
        await soon(cancelled)

    assert get_message_text(asking.status.message) == "colour"
    assert task.status.state == TaskState.TASK_STATE_CANCELED


async def test_a_service_that_stops_cuts_off_tasks_that_run_and_tasks_that_require_input() -> None:
    held = Held()

    async with served(a2a_app(clerk, held.agent, grace=0.0)) as url:
        async with calling(url, "clerk") as client:
            await whole(client, message("Paint!"))
        async with calling(url, "held") as client:
            events = client.send_message(message("Hello!"))
            await anext(events)
            await soon(held.waiting)
            await events.aclose()  # type: ignore[attr-defined]

    await soon(held.cancelled)


async def test_a_task_belongs_to_the_key_that_has_begun_it() -> None:
    async with served(a2a_app(historian)) as url:
        async with calling(url, "historian") as client:
            task = await whole(client, message("Hello!"))
        async with calling(url, "historian", "another-token") as client:
            with pytest.raises(TaskNotFoundError):
                await client.get_task(GetTaskRequest(id=task.id))


async def test_a_body_that_is_too_large_is_refused() -> None:
    async with served(a2a_app(historian, limits=Limits(body=1000))) as url, calling(url, "historian") as client:
        with pytest.raises(A2AError):
            await whole(client, message("x" * 1000))


async def test_only_the_newest_tasks_of_a_caller_are_remembered() -> None:
    store = RecentTasks(2)
    ann, bob = ServerCallContext(user=Key("ann")), ServerCallContext(user=Key("bob"))
    await store.save(Task(id="0"), bob)
    for id in ("1", "2", "1", "3"):
        await store.save(Task(id=id), ann)

    assert await store.get("2", ann) is None
    assert [await store.get(id, ann) is not None for id in ("1", "3")] == [True, True]
    assert await store.get("0", bob) is not None
