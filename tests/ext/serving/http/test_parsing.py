"""What a request says is bounded before it is decoded, and large bodies are parsed in a child process."""

import asyncio
import base64
import json
import pickle
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniagents import InteractionContext, miniagent
from miniagents.ext.llms import ImageMessage
from miniagents.ext.serving import AgentApp, Limits, Served, agent_app
from miniagents.ext.serving.http.parsing import _FEW, _SMALL
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_body import check_structure
from tests.ext.serving.agents import echo
from tests.ext.serving.clients import Client
from tests.ext.serving.servers import TOKEN


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def elements_of(value: Any) -> int:
    """Commas, colons and opening brackets."""
    if isinstance(value, dict):
        return 1 + max(len(value) - 1, 0) + len(value) + sum(map(elements_of, value.values()))
    return 1 + max(len(value) - 1, 0) + sum(map(elements_of, value)) if isinstance(value, list) else 0


def checked(body: bytes, limits: Limits) -> str:
    """How many elements it has at most, or why it is refused."""
    try:
        return str(check_structure(body, limits))
    except Problem as problem:
        return str(problem.code)


text = st.text('ab"\\,:[]{}é\n', max_size=6)
values = st.recursive(
    st.none() | st.integers(-9, 9) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=500)
@given(value=values, ascii=st.booleans(), depth=st.integers(1, 5), elements=st.integers(1, 30))
def test_depth_and_elements_are_counted_as_a_decoder_counts_them(
    value: Any, ascii: bool, depth: int, elements: int
) -> None:
    body = json.dumps(value, ensure_ascii=ascii).encode()
    limits = Limits(depth=depth, elements=elements)
    expected = "too_many_elements" if elements_of(value) > elements else "too_deep" if depth_of(value) > depth else None

    found = checked(body, limits)

    assert found == expected if expected is not None else elements_of(value) <= int(found) <= elements


@given(body=st.binary(max_size=50) | st.text('"\\[]{},:', max_size=50).map(str.encode))
def test_what_is_no_json_is_let_through_or_refused_but_breaks_nothing(body: bytes) -> None:
    assert checked(body, Limits(depth=3, elements=10)) in (*map(str, range(11)), "too_deep", "too_many_elements")


def test_what_stands_in_strings_does_not_count() -> None:
    text = '[{",:\\' * 50_000
    body = json.dumps({"messages": text}).encode()
    assert check_structure(body, Limits(elements=10, depth=2)) <= 10


WORST = {
    "texts": lambda n: {"messages": ["a"] * n},
    "data": lambda n: {"messages": [{"data": {"a": [{}] * n}}]},
    "keys": lambda n: {"messages": [{"data": {str(key): 0 for key in range(n)}}]},
    "numbers": lambda n: {"messages": [{"data": {"a": [0.1] * n}}]},
    "arguments": lambda n: {"messages": "a", "arguments": {"x": [[]] * n}},
    "parts": lambda n: {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": ""}] * n}]},
}


@pytest.mark.parametrize("make", WORST.values(), ids=WORST)
def test_bodies_have_so_many_elements(make: Any) -> None:
    fits, n = None, 1
    while True:
        body = json.dumps(make(n)).encode()
        if checked(body, Limits()) == "too_many_elements":
            break
        fits, n = body, n * 2
    assert fits is not None
    assert n > 1000


# Large ones


@miniagent
async def tells(ctx: InteractionContext, options: Any = None) -> None:
    """Tells what it got."""
    for message in await ctx.message_promises:
        size = len(message.data or b"") if isinstance(message, ImageMessage) else len(str(message))
        ctx.reply(f"{type(message).__name__}: {size}")
    ctx.reply(f"options: {dict(options)}")


def app_of(**limits: Any) -> AgentApp:
    limits = {"body": 8 * 2**20, **limits}
    served = Served(tells, arguments=("options",), wants=("file_ids", "items"))
    agents: dict[str, Any] = {"tells": served, "echo": echo}
    return agent_app(agents, auth=TOKEN, admin_auth=None, limits=Limits(**limits))


LARGE = "x" * (_SMALL + 1)
IMAGE = f"data:image/png;base64,{base64.b64encode(bytes(_SMALL)).decode()}"
REQUESTS: dict[str, tuple[str, Any]] = {
    "plain": ("/agents/tells", {"messages": ["a", LARGE], "arguments": {"options": {"a": 1}}}),
    "chat": (
        "/v1/chat/completions",
        {
            "model": "tells",
            "options": {"a": 1},
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]},
            ],
        },
    ),
    "response": ("/v1/responses", {"model": "tells", "options": {"a": 1}, "input": LARGE}),
    "items": (
        "/v1/responses",
        {
            "model": "tells",
            "options": {"a": 1},
            "temperature": 0.5,
            "input": [
                {"role": "user", "content": LARGE},
                {"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]},
                {"type": "web_search_call", "id": "ws_1"},
            ],
        },
    ),
    "message": (
        "/v1/messages",
        {"model": "tells", "options": {"a": 1}, "max_tokens": 9, "messages": [{"role": "user", "content": LARGE}]},
    ),
}


@pytest.mark.real_time
@pytest.mark.parametrize(("path", "body"), REQUESTS.values(), ids=REQUESTS)
async def test_a_large_body_says_the_same_as_a_small_one(path: str, body: Any) -> None:
    async with (app := app_of()).lifespan():
        client = Client(app, path, body)
        await client.asking
        child = app._service.parser._child
        assert child is not None

    size = len(LARGE) if path != "/v1/chat/completions" else _SMALL
    assert client.status == 200
    assert f": {size}" in client.body.decode()
    assert "options: {'a': 1}" in client.body.decode()
    assert child.returncode is not None  # it has ended with the service


@pytest.mark.real_time
async def test_what_is_wrong_with_a_large_body_is_told_as_of_a_small_one() -> None:
    async with (app := app_of()).lifespan():
        asked = [
            Client(app, "/agents/tells", {"messages": [LARGE, 5]}),
            Client(app, "/agents/tells", LARGE.encode()),
            Client(app, "/agents/tells", {"messages": LARGE, "arguments": {"options": [[0] * 20_000]}}),
            Client(app, "/v1/conversations", {"items": [{"role": "nobody", "content": LARGE}]}),
            Client(app, "/v1/conversations", {"items": [{"role": "user", "content": LARGE}]}),
        ]
        await asyncio.gather(*(client.asking for client in asked))

    assert [client.status for client in asked] == [422, 400, 400, 400, 200]
    errors = [json.loads(client.body)["error"] for client in asked[:4]]
    assert [error["code"] for error in errors] == ["invalid", "invalid_json", "too_many_elements", "invalid"]
    assert errors[0]["param"] == "messages[1]"


@pytest.mark.real_time
async def test_many_elements_where_these_are_allowed_go_to_the_child_too() -> None:
    async with (app := app_of(elements=10 * _FEW, messages=_FEW)).lifespan():
        client = Client(app, "/agents/echo", {"messages": ["a"] * _FEW})
        await client.asking
        assert app._service.parser._child is not None
    assert client.status == 200
    assert client.body.count(b"You said: a") == _FEW


@pytest.mark.real_time
async def test_a_large_frame_of_a_websocket_is_parsed_too() -> None:
    async with (app := app_of()).lifespan():
        client = Client(app, "/agents/tells", is_socket=True)
        client.say(type="message", content=LARGE)
        client.say(type="finish")
        await client.asking
        assert app._service.parser._child is not None
    assert f": {len(LARGE)}" in str(client.events)


@pytest.mark.real_time
async def test_a_child_that_dies_is_replaced_and_so_is_one_whose_asker_has_left() -> None:
    async with (app := app_of()).lifespan():
        first = Client(app, "/agents/echo", {"messages": LARGE})
        await first.asking
        parser = app._service.parser
        assert parser._child is not None
        parser._child.kill()
        await parser._child.wait()
        second = Client(app, "/agents/echo", {"messages": LARGE})
        await asyncio.sleep(0.01)
        second.asking.cancel()
        third = Client(app, "/agents/echo", {"messages": LARGE + "y"})
        await asyncio.wait([second.asking, third.asking])

    assert first.status == third.status == 200
    assert b"xy" in third.body


@pytest.mark.real_time
async def test_a_large_body_does_not_hold_up_the_loop() -> None:
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    body = {"messages": ['é\n\\"' * 4000, "x" * 4000] * 100}
    async with (app := app_of()).lifespan():
        await Client(app, "/agents/echo", {"messages": LARGE}).asking  # the child is there
        raw = json.dumps(body).encode()
        assert len(raw) > 4 * 2**20
        watching = asyncio.create_task(watch())
        client = Client(app, "/v1/conversations", raw)
        await client.asking
        watching.cancel()

    assert client.status == 200
    assert longest < 0.1


def test_problems_pickle() -> None:
    problem = Problem(429, "Too many.", param="a", code="b", retry_after=1.5, is_final=True)
    assert vars(pickle.loads(pickle.dumps(problem))) == vars(problem)
    assert str(pickle.loads(pickle.dumps(problem))) == "Too many."
