"""What each front end sees of a call that does not end well, in both protocols."""

import pytest

from miniagents.ext.serving import Limits
from tests.ext.serving.agents import Held, soon
from tests.ext.serving.clients import Client
from tests.ext.serving.front_ends.chats import BODIES, asked, chat_app, events_in
from tests.ext.serving.servers import ADMIN_AUTH, in_process

PROTOCOLS = ("ag-ui", "ai-sdk")
pytestmark = pytest.mark.parametrize("protocol", PROTOCOLS)

CLOSED = {"ag-ui": "TEXT_MESSAGE_END", "ai-sdk": "text-end"}
ERRORS = {
    "ag-ui": {"type": "RUN_ERROR", "message": "The agent failed.", "code": "agent_failed"},
    "ai-sdk": {"type": "error", "errorText": "The agent failed."},
}
STOPPED = {
    "ag-ui": {"type": "RUN_FINISHED", "threadId": "thread", "runId": "run", "outcome": {"type": "cancelled"}},
    "ai-sdk": {"type": "abort"},
}


async def test_a_failure_closes_the_open_part_and_says_no_more_than_it_may(protocol: str) -> None:
    async with in_process(chat_app()) as client:
        *_, closed, error = await asked(client, protocol, "breaking")

    assert closed["type"] == CLOSED[protocol]
    assert error == ERRORS[protocol]


async def test_a_failure_before_the_first_reply_is_a_response_with_a_status(protocol: str) -> None:
    async with in_process(chat_app()) as client:
        response = await client.post(f"/agents/failing/{protocol}", json=BODIES[protocol]())

    assert (response.status_code, response.json()["error"]["code"]) == (500, "agent_failed")


async def test_after_a_failure_an_exposed_call_has_a_result_that_says_so(protocol: str) -> None:
    async with in_process(chat_app(expose="tools")) as client:
        *_, result, error = await asked(client, protocol, "ringer")

    said = "failed: the call of the agent ended before the tool had answered"
    assert result["toolCallId"] == "call_9"
    assert result.get("content", result.get("errorText")) == said
    assert error == ERRORS[protocol]


async def test_a_call_that_has_its_result_gets_no_other_one_after_a_failure(protocol: str) -> None:
    async with in_process(chat_app(expose="tools")) as client:
        events = await asked(client, protocol, "reporter")

    results = [event for event in events if event["type"] in ("TOOL_CALL_RESULT", "tool-output-available")]
    assert [result.get("content", result.get("output")) for result in results] == ["rung"]
    assert not any(event["type"] == "tool-output-error" for event in events)
    assert events[-1] == ERRORS[protocol]


async def test_a_call_that_an_operator_stops_ends_as_cancelled(protocol: str) -> None:
    held = Held()
    app = chat_app(held.agent)
    async with in_process(app) as operator:
        client = Client(app, f"/agents/held/{protocol}", BODIES[protocol]())
        await soon(held.waiting)
        (call,) = (await operator.get("/interactions", headers=ADMIN_AUTH)).json()["interactions"]
        await operator.delete(f"/interactions/{call['id']}", headers=ADMIN_AUTH)
        await client.asking

    assert events_in(client.body)[-1] == STOPPED[protocol]


async def test_a_client_that_goes_away_cancels_the_call(protocol: str) -> None:
    held = Held()
    app = chat_app(held.agent)
    async with in_process(app):
        client = Client(app, f"/agents/held/{protocol}", BODIES[protocol]())
        await soon(held.waiting)

        client.go()

        await soon(held.cancelled)
        await client.asking


async def test_an_agent_that_thinks_for_long_has_begun_its_run_for_the_client(protocol: str) -> None:
    held = Held()
    app = chat_app(held.agent, limits=Limits(head_wait=0.0))
    async with in_process(app):
        client = Client(app, f"/agents/held/{protocol}", BODIES[protocol]())
        await soon(held.waiting)
        first = events_in(client.body)[0]["type"]
        held.let_go.set()
        await client.asking

    assert first in ("RUN_STARTED", "start")
