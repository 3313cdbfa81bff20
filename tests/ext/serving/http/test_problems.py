"""What goes wrong, and its status."""

import asyncio
from typing import Any

import httpx2
import pytest

from miniagents import Backoff, InteractionContext, Mailbox, OneForOne, Overflow, miniagent
from miniagents.errors import (
    ActorStoppedError,
    AgentArgumentError,
    AllModelsFailedError,
    AskTimeoutError,
    BudgetExceededError,
    ContextOverflowError,
    DroppedError,
    EmptyConversationError,
    MailboxFullError,
    PromiseCancelledError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    RestartLimitError,
    SystemNotRunningError,
)
from miniagents.ext.llms import Budget
from miniagents.ext.serving import Limits, agent_app
from miniagents.ext.serving.http.problems import problem_of
from miniagents.testing import Reply, Script, ScriptedModel
from tests.ext.serving.agents import Held, echo, failing, soon
from tests.ext.serving.servers import AUTH, TOKEN, in_process, served

pytestmark = pytest.mark.real_time


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (MailboxFullError("/a"), 429, "mailbox_full"),
        (DroppedError("/a"), 429, "mailbox_full"),
        (RateLimitedError("wait", retry_after=7.2), 429, "rate_limit_exceeded"),
        (ActorStoppedError("/a"), 503, "unavailable"),
        (RestartLimitError("/a"), 503, "unavailable"),
        (SystemNotRunningError("stopped"), 503, "unavailable"),
        (AskTimeoutError("/a"), 504, "timeout"),
        (PromiseCancelledError("cancelled"), 409, "cancelled"),
        (AgentArgumentError("of a call inside of the agent"), 500, "agent_failed"),
        (BudgetExceededError("spent"), 402, "budget_exceeded"),
        (QuotaExceededError("spent"), 402, "budget_exceeded"),
        (ContextOverflowError("too long"), 400, "context_length_exceeded"),
        (EmptyConversationError("nothing to send"), 400, "empty_conversation"),
        (ProviderUnavailableError("down"), 502, "model_failed"),
        (AllModelsFailedError("all down"), 502, "model_failed"),
        (ValueError("the password is 1234"), 500, "agent_failed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_failure_has_a_status_and_a_code(error: Exception, status: int, code: str) -> None:
    problem = problem_of(error)
    response = problem.response()

    assert (problem.status, problem.code) == (status, code)
    assert b"1234" not in response.body
    assert ("retry-after" in response.headers) == (status in (429, 503))


def test_the_provider_says_when_to_come_back() -> None:
    assert problem_of(RateLimitedError("wait", retry_after=7.2)).response().headers["retry-after"] == "8"


async def test_a_failure_is_logged_once_and_shown_only_where_that_is_wanted(log: list[Any]) -> None:
    async with in_process(agent_app(failing, auth=TOKEN, admin_auth=None)) as client:
        hidden = await client.post("/agents/failing", json={})
    async with in_process(agent_app(failing, auth=TOKEN, admin_auth=None, shows_errors=True)) as client:
        shown = await client.post("/agents/failing", json={})

    assert hidden.json()["error"] == {
        "message": "The agent failed.",
        "type": "server_error",
        "param": None,
        "code": "agent_failed",
    }
    assert shown.json()["error"]["message"] == "ValueError: the password is 1234"
    assert "Traceback" not in shown.text
    assert [entry["event"] for entry in log] == ["service.agent_failed"] * 2
    assert log[0]["actor"] == "/agents/failing"


@pytest.mark.parametrize("overflow", [Overflow.BACKPRESSURE, Overflow.REJECT, Overflow.DROP_NEWEST])
async def test_a_full_mailbox_is_a_429_at_once(overflow: Overflow) -> None:
    held = Held(max_concurrency=1, mailbox=Mailbox(capacity=1, overflow=overflow))
    async with (
        served(agent_app(held.agent, auth=TOKEN, admin_auth=None)) as url,
        httpx2.AsyncClient(base_url=url, headers=AUTH) as client,
    ):
        running = asyncio.create_task(client.post("/agents/held", json={}))
        await soon(held.waiting)
        waiting = asyncio.create_task(client.post("/agents/held", json={"stream": True}))
        while (await client.get("/interactions")).json()["interactions"][1:] == []:
            pass
        refused = [
            await client.post("/agents/held", json={}),
            await client.post("/agents/held", json={"stream": True}),
            await client.post("/v1/responses", json={"model": "held", "input": "Hi"}),
        ]
        held.let_go.set()
        answers = [await running, await waiting]

    assert [one.status_code for one in refused] == [429] * 3
    assert {one.headers["retry-after"] for one in refused} == {"1"}
    assert [one.status_code for one in answers] == [200, 200]


async def test_an_agent_that_is_restarted_or_stopped_is_a_503() -> None:
    @miniagent(supervision=OneForOne(max_restarts=9, within=1.0, backoff=Backoff(60.0, 60.0)))
    class Fragile:
        async def __call__(self, ctx: InteractionContext) -> None:
            raise ValueError("broken")

    refs: dict[str, Any] = {}

    async def spawn(system: Any) -> None:
        refs["echo"] = system.spawn(echo, name="echo")

    agents: dict[str, Any] = {"fragile": Fragile, "echo": "/echo"}
    app = agent_app(agents, auth=TOKEN, admin_auth=None, on_start=spawn)
    async with in_process(app) as client:
        await client.post("/agents/fragile", json={})  # the first restart comes at once
        crashed = await client.post("/agents/fragile", json={})
        restarting = await client.post("/agents/fragile", json={})
        alive = await client.post("/agents/echo", json={})
        await refs["echo"].stop()
        stopped = await client.post("/agents/echo", json={})

    assert [one.status_code for one in (crashed, restarting, alive, stopped)] == [500, 503, 200, 503]
    assert restarting.headers["retry-after"] == "1"


EMPTY: list[dict[str, Any]] = [{"role": "user", "content": " "}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/agents/clerk", {}),
        ("/agents/clerk", {"messages": ["", " "]}),
        ("/v1/chat/completions", {"model": "clerk", "messages": EMPTY}),
        ("/v1/responses", {"model": "clerk", "input": EMPTY}),
        ("/v1/messages", {"model": "clerk", "max_tokens": 9, "messages": EMPTY}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_without_any_text_for_a_model_is_a_400_with_the_reason(
    path: str, body: dict[str, Any], stream: bool, log: list[Any]
) -> None:
    model = ScriptedModel.fork(alias="clerk", script=Script("Hi."))
    async with in_process(agent_app(model, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post(path, json={**body, "stream": stream})

    assert answer.status_code == 400
    assert "no message of the request has a text" in answer.json()["error"]["message"]
    assert log == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_budget_that_is_spent_is_a_402(stream: bool) -> None:
    model = ScriptedModel.fork(alias="clerk", script=Script("Hi."), budget=Budget(tokens=0))
    async with in_process(agent_app(model, auth=TOKEN, admin_auth=None)) as client:
        messages = [{"role": "user", "content": "Hi"}]
        answers = [
            await client.post("/agents/clerk", json={"messages": "Hi", "stream": stream}),
            await client.post("/v1/chat/completions", json={"model": "clerk", "messages": messages, "stream": stream}),
            await client.post("/v1/responses", json={"model": "clerk", "input": "Hi", "stream": stream}),
        ]

    assert [one.status_code for one in answers] == [402, 402, 402]
    assert {one.json()["error"]["code"] for one in answers} == {"budget_exceeded"}


@pytest.mark.parametrize("header", [True, False])
async def test_a_deadline_is_a_504_and_stops_the_agent(header: bool) -> None:
    held = Held()
    limits = Limits(request_timeout=60 if header else 0.01)
    async with in_process(agent_app(held.agent, auth=TOKEN, admin_auth=None, limits=limits)) as client:
        headers = {"x-request-timeout": "0.01"} if header else {}
        answer = await client.post("/agents/held", json={}, headers=headers)
        await soon(held.cancelled)

    assert (answer.status_code, answer.headers["x-should-retry"]) == (504, "false")


async def test_a_client_cannot_make_the_deadline_later() -> None:
    held = Held()
    app = agent_app(held.agent, auth=TOKEN, admin_auth=None, limits=Limits(request_timeout=0.01))
    async with in_process(app) as client:
        answer = await client.post("/agents/held", json={}, headers={"x-request-timeout": "60"})

    assert answer.status_code == 504


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf", ""])
async def test_a_deadline_that_is_no_number_of_seconds_is_a_400(value: str) -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/agents/echo", json={}, headers={"x-request-timeout": value})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "x-request-timeout")


@pytest.mark.parametrize(
    ("content", "status", "param"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"\xff", 400, None),
        (b"[]", 422, None),
        (b'{"messages": 5}', 422, "messages"),
        (b'{"messages": [{}]}', 422, "messages[0]"),
        (b'{"messages": [{"role": "user"}]}', 422, "messages[0]"),
        (b'{"messages": [{"content": "a", "data": {}}]}', 422, "messages[0]"),
        (b'{"message": "a"}', 422, "message"),
        (b'{"stream": 1}', 422, "stream"),
        (b'{"keep": -1}', 422, "keep"),
        (b'{"messages": "\\ud800"}', 400, None),
        (b'{"messages": [{"data": {"a": 99999999999999999999}}]}', 422, "messages[0].data"),
    ],
)
async def test_a_bad_body_names_the_field(content: bytes, status: int, param: str | None) -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/agents/echo", content=content, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


async def test_what_is_too_large_or_too_deep_or_too_much_is_refused() -> None:
    limits = Limits(body=1000, depth=5, messages=3)
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None, limits=limits)) as client:

        async def pieces() -> Any:
            for _ in range(20):
                yield b" " * 100

        json = {"content-type": "application/json"}
        large = await client.post("/agents/echo", content=b" " * 1001, headers=json)
        chunked = await client.post("/agents/echo", content=pieces(), headers=json)
        deep = await client.post("/agents/echo", content=b'{"arguments": {"a": [[[[]]]]}}', headers=json)
        fits = await client.post("/agents/echo", json={"messages": ["[[[[[[[", '{"{"{']})
        many = await client.post("/agents/echo", json={"messages": ["a"] * 4})
        chat = {"model": "echo", "messages": [{"role": "user", "content": "a"}] * 4}
        many_chat = await client.post("/v1/chat/completions", json=chat)
        many_input = await client.post("/v1/responses", json={"model": "echo", "input": chat["messages"]})

    assert [one.status_code for one in (large, chunked, deep, fits)] == [413, 413, 400, 200]
    assert [one.status_code for one in (many, many_chat, many_input)] == [400, 400, 400]
    assert many_input.json()["error"]["param"] == "input"


async def test_a_key_has_so_many_requests_at_once() -> None:
    held = Held()
    auth = {"ann": TOKEN, "bob": "the-token-of-bob"}
    app = agent_app([held.agent, echo], auth=auth, admin_auth=None, limits=Limits(concurrent=1))
    async with served(app) as url, httpx2.AsyncClient(base_url=url, headers=AUTH) as client:
        running = asyncio.create_task(client.post("/agents/held", json={}))
        await soon(held.waiting)
        second = await client.post("/agents/echo", json={})
        other = await client.post("/agents/echo", json={}, headers={"authorization": "Bearer the-token-of-bob"})
        held.let_go.set()
        await running
        again = await client.post("/agents/echo", json={})

    assert [one.status_code for one in (second, other, again)] == [429, 200, 200]
    assert second.headers["retry-after"] == "1"


async def test_what_is_not_there_has_our_form_too() -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        answers = [
            await client.get("/nowhere"),
            await client.put("/agents/echo"),
            await client.post("/agents/nobody", json={}),
            await client.post("/agents/echo", content=b"{}", headers={"content-type": "text/plain"}),
        ]

    assert [one.status_code for one in answers] == [404, 405, 404, 415]
    assert all(set(one.json()["error"]) == {"message", "type", "param", "code"} for one in answers)


@pytest.mark.parametrize("api", ["plain", "chat", "responses", "messages"])
async def test_a_stream_ends_with_the_first_error_and_its_agent_is_stopped(api: str) -> None:
    held = Held()

    @miniagent
    async def going_on(ctx: InteractionContext) -> None:
        ctx.reply(ValueError("the first error"))
        ctx.reply(held.agent.inquire())
        await asyncio.Event().wait()

    messages = [{"role": "user", "content": "Hi"}]
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "plain": ("/agents/going_on", {}),
        "chat": ("/v1/chat/completions", {"model": "going_on", "messages": messages}),
        "responses": ("/v1/responses", {"model": "going_on", "input": "Hi"}),
        "messages": ("/v1/messages", {"model": "going_on", "messages": messages, "max_tokens": 1}),
    }
    path, body = requests[api]
    app = agent_app(going_on, auth=TOKEN, admin_auth=None)
    async with in_process(app) as client:
        answer = await client.post(path, json={**body, "stream": True})
        async with asyncio.timeout(10):
            await asyncio.gather(*(one.wait_stopped() for one in app.system.interactions()))

    assert answer.status_code == 500


async def test_what_a_model_failed_with_is_in_the_log(log: list[Any]) -> None:
    model = ScriptedModel.fork(alias="clerk", script=Script(Reply.failure(401, error="the key sk-1 is wrong")))
    async with in_process(agent_app(model, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/agents/clerk", json={"messages": "Hi"})

    assert answer.status_code == 502
    assert "sk-1" not in answer.text
    assert [entry["actor"] for entry in log if entry["event"] == "service.agent_failed"] == ["/agents/clerk"]
