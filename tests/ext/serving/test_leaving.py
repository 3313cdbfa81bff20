"""A client that goes away leaves nothing behind, at whatever turn of the loop it goes, and whatever it waited for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from miniagents import InteractionContext, TextMessage, TextToken, miniagent
from miniagents.actors.dispatch.workers import WorkerTask
from miniagents.ext.serving import AgentApp, Limits, MemoryConversations, SavedConversation, agent_app
from tests.actors.actors import turns
from tests.ext.serving.clients import Client
from tests.ext.serving.servers import TOKEN

TURNS = range(41)


async def letters(*_: Any) -> AsyncIterator[TextToken]:
    for letter in "abcde":
        yield TextToken(letter)
        await asyncio.sleep(0)


@miniagent
async def speaks(ctx: InteractionContext) -> None:
    """Says something letter by letter, twice, and ends."""
    ctx.reply(TextMessage.promise(message_token_streamer=letters))
    await asyncio.sleep(0)
    ctx.reply(TextMessage.promise(message_token_streamer=letters))


@miniagent
async def hesitates(ctx: InteractionContext) -> None:
    """Says a word, and nothing more."""
    ctx.reply("Well")
    await asyncio.Event().wait()


@miniagent
async def silent(ctx: InteractionContext) -> None:
    """Says nothing."""
    await asyncio.Event().wait()


@miniagent
async def hands_on(ctx: InteractionContext) -> None:
    """Has another one speak."""
    ctx.reply(speaks.inquire(ctx.message_promises))


@miniagent
async def fails(ctx: InteractionContext) -> None:
    """Fails in the middle."""
    ctx.reply(TextMessage.promise(message_token_streamer=letters))
    raise ValueError


@miniagent
class Remembers:
    """Has an instance for each conversation."""

    async def __call__(self, ctx: InteractionContext) -> None:
        ctx.reply(speaks.inquire())


AGENTS: tuple[Any, ...] = (speaks, hesitates, silent, hands_on, fails, Remembers)
NAMES = [agent.alias for agent in AGENTS]


def app_of(**options: Any) -> AgentApp:
    options = {"limits": Limits(concurrent=5, head_wait=0.5, keep=10, ping=0.2), "conversation_idle": 1.0, **options}
    return agent_app(AGENTS, auth=TOKEN, admin_auth=None, grace=0.0, **options)


@contextlib.asynccontextmanager
async def served(app: AgentApp) -> AsyncIterator[AgentApp]:
    """It runs; no task and no timer of it is left afterwards."""
    async with app.lifespan():
        yield app
    await turns(3)
    assert_nothing_left()


def assert_nothing_left(but: Any = ()) -> None:
    loop: Any = asyncio.get_running_loop()
    left = {
        task
        for task in asyncio.all_tasks() - {asyncio.current_task()}
        if task not in but and not isinstance(task, WorkerTask)
    }
    assert not left
    assert [timer for timer in loop._scheduled if not timer.cancelled()] == []


async def assert_nothing_is_under_way(app: AgentApp, client: Client, what: object, but: Any = ()) -> None:
    done, _ = await asyncio.wait([client.asking], timeout=5)
    service = app._service
    assert done, f"{what}: the request never ends"
    assert client.asking.cancelled() or client.asking.exception() is None
    await turns(20)
    assert service.gate.inside == 0, f"{what}: its place is taken"
    assert len(service.runs) == 0, f"{what}: its call never ends"
    assert app.system.interactions() == (), what
    assert not any(live.inside for live in service.turns._live.values()), f"{what}: its conversation is locked"
    await asyncio.sleep(100)  # conversations and forks are passivated, and nothing kept is kept any more
    assert_nothing_left(but)


def chat(name: str, **more: Any) -> tuple[str, Any]:
    return "/v1/chat/completions", {"model": name, "messages": [{"role": "user", "content": "Hi"}], **more}


def message(name: str, **more: Any) -> tuple[str, Any]:
    return "/v1/messages", {"model": name, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], **more}


def response(name: str, **more: Any) -> tuple[str, Any]:
    return "/v1/responses", {"model": name, "input": "Hi", **more}


def plain(name: str, **more: Any) -> tuple[str, Any]:
    return f"/agents/{name}", {"messages": "Hi", **more}


REQUESTS: dict[str, Callable[[str], tuple[str, Any]]] = {
    "chat": lambda name: chat(name),
    "chat, a stream": lambda name: chat(name, stream=True),
    "chat, in a conversation": lambda name: chat(name, stream=True, conversation="one"),
    "messages": lambda name: message(name),
    "messages, a stream": lambda name: message(name, stream=True),
    "response": lambda name: response(name),
    "response, a stream": lambda name: response(name, stream=True),
    "response, in a conversation": lambda name: response(name, conversation="one"),
    "plain": lambda name: plain(name),
    "plain, a stream": lambda name: plain(name, stream=True),
    "plain, in a conversation": lambda name: plain(name, stream=True, conversation="one"),
    "plain, a kept stream": lambda name: plain(name, stream=True, keep=5),
}


def goes(client: Client) -> None:
    client.go()


def is_cut(client: Client) -> None:
    """The server ends the request itself."""
    client.asking.cancel()


@pytest.mark.parametrize("leave", [goes, is_cut])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
async def test_a_client_leaves_nothing_at_whatever_turn_it_goes(
    request_of: Callable[[str], tuple[str, Any]], name: str, leave: Callable[[Client], None]
) -> None:
    async with served(app_of()) as app:
        for after in TURNS:
            client = Client(app, *request_of(name))
            await turns(after)

            leave(client)

            if "keep" in request_of(name)[1]:
                await asyncio.sleep(6)
            await assert_nothing_is_under_way(app, client, f"gone after {after} turns")


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
async def test_a_client_that_reads_nothing_leaves_nothing(request_of: Callable[[str], tuple[str, Any]]) -> None:
    async with served(app_of()) as app:
        for after in TURNS:
            client = Client(app, *request_of("speaks"), reads=False)
            await turns(after)

            client.go()

            if "keep" in request_of("speaks")[1]:
                await asyncio.sleep(6)
            await assert_nothing_is_under_way(app, client, f"gone after {after} turns")


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
async def test_a_client_that_goes_in_the_middle_of_its_body_leaves_nothing(
    request_of: Callable[[str], tuple[str, Any]],
) -> None:
    async with served(app_of()) as app:
        path, _ = request_of("silent")
        for after in TURNS:
            client = Client(app, path, b'{"mess...')
            await turns(after)

            client.go()

            await assert_nothing_is_under_way(app, client, f"gone after {after} turns")


@pytest.mark.parametrize("leave", [goes, is_cut])
@pytest.mark.parametrize("name", ["speaks", "Remembers"])
async def test_a_client_that_goes_while_it_waits_for_its_turn_leaves_nothing(
    name: str, leave: Callable[[Client], None]
) -> None:
    async with served(app_of()) as app:
        for after in TURNS:
            first = Client(app, *plain(name, stream=True, conversation="one"))
            second = Client(app, *plain(name, stream=True, conversation="one"))
            third = Client(app, *plain(name, conversation="one"))
            await turns(after)

            leave(second)

            await asyncio.wait([first.asking, second.asking, third.asking], timeout=5)
            assert first.body.endswith(b"\n\n")
            assert third.status == 200, after
            await assert_nothing_is_under_way(app, second, f"gone after {after} turns")


async def test_who_comes_as_a_turn_goes_from_one_to_the_next_waits_no_longer_than_it_wants() -> None:
    for after in range(10):
        async with served(app_of()) as app:
            first = Client(app, *plain("hesitates", conversation="one"))
            await turns(20)
            second = Client(app, *plain("hesitates", conversation="one"))
            await turns(20)
            first.go()
            await turns(after)

            third = Client(app, *plain("hesitates", conversation="one"), headers={"x-request-timeout": "3"})

            await asyncio.wait([third.asking], timeout=5)
            assert third.asking.done(), after
            assert third.status == 504
            second.go()
            await asyncio.wait([first.asking, second.asking], timeout=5)


@pytest.mark.parametrize("leave", [goes, is_cut])
async def test_a_reader_of_a_kept_stream_leaves_nothing_at_whatever_turn_it_goes(
    leave: Callable[[Client], None],
) -> None:
    async with served(app_of()) as app:
        for after in TURNS:
            first = Client(app, *plain("hesitates", stream=True, keep=5))
            await turns(20)
            (run,) = app._service.runs._runs.values()
            reader = Client(app, f"/agents/hesitates/streams/{run.id}")
            await turns(after)

            leave(reader)
            await turns(after)
            leave(first)

            await asyncio.sleep(6)
            await assert_nothing_is_under_way(app, reader, f"gone after {after} turns")


@pytest.mark.parametrize("leave", [goes, is_cut])
@pytest.mark.parametrize("query", ["", "?stream=true"])
async def test_a_response_in_the_background_comes_to_its_end_whoever_goes(
    leave: Callable[[Client], None], query: str
) -> None:
    async with served(app_of()) as app:
        for after in TURNS:
            begun = Client(app, *response("speaks", background=True))
            await turns(5)
            (id,) = app._responses._store._where  # type: ignore[attr-defined]
            client = Client(app, f"/v1/responses/{id}{query}")
            await turns(after)

            leave(client)
            await turns(after)
            leave(begun)

            await assert_nothing_is_under_way(app, client, f"gone after {after} turns")
            await app._responses._store.remove(id)


SOCKETS: dict[str, list[dict[str, Any]]] = {
    "says nothing": [],
    "opens": [{"type": "open"}],
    "opens and cancels": [{"type": "open"}, {"type": "cancel"}],
    "opens and cancels in a conversation": [{"type": "open", "conversation": "one"}, {"type": "cancel"}],
    "asks": [{"type": "message", "content": "Hi"}, {"type": "finish"}],
    "asks in a conversation": [{"type": "open", "conversation": "one"}, {"type": "finish"}],
    "asks and cancels": [{"type": "message", "content": "Hi"}, {"type": "finish"}, {"type": "cancel"}],
    "breaks the rules": [{"type": "open"}, {"type": "open"}],
}


@pytest.mark.parametrize("leave", [goes, is_cut])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", SOCKETS.values(), ids=SOCKETS)
async def test_a_websocket_leaves_nothing_at_whatever_turn_it_goes(
    frames: list[dict[str, Any]], name: str, leave: Callable[[Client], None]
) -> None:
    async with served(app_of()) as app:
        for after in TURNS:
            client = Client(app, f"/agents/{name}", is_socket=True)
            for frame in frames:
                client.say(**frame)
            await turns(after)

            leave(client)

            await assert_nothing_is_under_way(app, client, f"gone after {after} turns")


@pytest.mark.parametrize("conversation", [None, "one"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_websocket_that_cancels_is_answered_at_whatever_turn_it_does(
    name: str, conversation: str | None
) -> None:
    async with served(app_of()) as app:
        for after in range(21):
            client = Client(app, f"/agents/{name}", is_socket=True)
            client.say(type="open", conversation=conversation)
            await turns(after)

            client.say(type="cancel")

            await asyncio.wait([client.asking], timeout=5)
            assert client.events[-1]["type"] in ("end", "error"), after
            assert client.sent[-1]["type"] == "websocket.close", after
            await assert_nothing_is_under_way(app, client, f"cancelled after {after} turns")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
async def test_a_request_whose_background_work_is_cancelled_leaves_nothing_at_whatever_turn_that_is(
    request_of: Callable[[str], tuple[str, Any]], name: str
) -> None:
    async with served(app_of()) as app:
        for after in TURNS:
            client = Client(app, *request_of(name))
            await turns(after)

            for task in tuple(app.system._background):
                task.cancel()
            await turns(after)
            client.go()

            if "keep" in request_of(name)[1]:
                await asyncio.sleep(6)
            await assert_nothing_is_under_way(app, client, f"cancelled after {after} turns")


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
async def test_the_end_of_the_service_leaves_nothing_of_a_request(
    request_of: Callable[[str], tuple[str, Any]], reads: bool
) -> None:
    for name in ("speaks", "hesitates"):
        for after in TURNS:
            app = app_of()
            async with app.lifespan():
                client = Client(app, *request_of(name), reads=reads)
                await turns(after)
            client.go()
            await asyncio.wait([client.asking], timeout=5)
            await turns(3)
            assert client.asking.done(), after
            assert_nothing_left()


async def test_a_turn_that_outlives_the_service_leaves_no_timer() -> None:
    class Late(MemoryConversations):
        async def load(self, owner: str, id: str) -> SavedConversation | None:
            await asyncio.sleep(10)
            return await super().load(owner, id)

    app = app_of(conversations=Late())
    async with app.lifespan():
        client = Client(app, *plain("Remembers", conversation="one"))
        await turns(20)
    await client.asking

    assert client.status == 503
    assert_nothing_left()
