"""The document keeps its word: requests made of it are answered as it says, and none of them makes the service fail.

schemathesis makes them, valid and invalid ones, and checks statuses, content types and bodies against the document.
"""

import copy
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings

from miniagents import InteractionContext, miniagent
from miniagents.ext.serving import Limits, Served, agent_app
from miniagents.ext.serving.operations.openapi import document
from miniagents.ext.serving.wants import Want
from miniagents.testing import Script, ScriptedModel
from tests.ext.serving.agents import echo, speller, weather
from tests.ext.serving.servers import TOKEN

HEADERS = {"Authorization": f"Bearer {TOKEN}"}


class Answer(msgspec.Struct):
    """What the model says."""

    text: str


MODEL = ScriptedModel.fork(script=Script('{"text":\n"Fine."}'), output=Answer)


@miniagent
async def structured(ctx: InteractionContext) -> None:
    """Has a model answer with structured output."""
    await ctx.reply(MODEL.inquire("Hi"))


WANTS: tuple[Want, ...] = ("audio", "file_ids", "items")
AGENTS: dict[str, Any] = {
    "echo": Served(echo, wants=WANTS),
    "speller": Served(speller, wants=WANTS),
    "weather": Served(weather, arguments=("city", "unit"), wants=WANTS),
    "structured": Served(structured, wants=WANTS),
}
APP = agent_app(AGENTS, auth=TOKEN, admin_auth=TOKEN, metrics=True, limits=Limits(request_timeout=20.0))
DOCUMENT = msgspec.json.decode(msgspec.json.encode(document(APP._service, has_metrics=True)))
SCHEMA = schemathesis.openapi.from_dict(copy.deepcopy(DOCUMENT))
INTEGERS = ("max_tokens", "max_output_tokens", "max_tool_calls", "top_logprobs")
TIMEOUT = "X-Request-Timeout"
CONVERSATION = "X-Conversation"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of the service, which uvicorn runs on loopback in a thread."""
    server = uvicorn.Server(uvicorn.Config(APP, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@SCHEMA.parametrize()
@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_the_document_says(case: Any, url: str) -> None:
    if _is_short(case.headers.get(TIMEOUT)):
        del case.headers[TIMEOUT]  # a deadline that passes is a 504, as the document says

    case.headers.pop(CONVERSATION, None)  # where there is one, a response needs no input, which no schema can say

    case.body = _sendable(case.body)

    case.call_and_validate(base_url=url, headers=HEADERS)


def test_the_document_is_the_one_that_the_service_shows(url: str) -> None:
    shown = httpx2.get(f"{url}/openapi.json", headers=HEADERS).json()

    assert shown == DOCUMENT


def _sendable(value: Any, name: str = "") -> Any:
    """Numbers that JSON Schema allows and we do not: integers of more than 64 bits, and 1.0 for an integer."""
    if isinstance(value, dict):
        return {key: _sendable(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_sendable(one) for one in value]
    is_large = isinstance(value, int) and abs(value) >= 2**63
    return 10 if is_large or (name in INTEGERS and isinstance(value, float)) else value


def _is_short(timeout: Any) -> bool:
    try:
        return 0 < float(timeout) < 5
    except (TypeError, ValueError):
        return False
