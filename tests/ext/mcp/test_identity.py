"""Connections on behalf of callers."""

import asyncio
from contextvars import copy_context

import httpx2
import pytest

from miniagents import MiniAgents
from miniagents.actors import Caller
from miniagents.actors.observing.caller import current_caller
from miniagents.errors import McpUnavailableError
from miniagents.ext.llms import ToolResultMessage
from miniagents.ext.mcp import McpServer
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.mcp.servers import ERAS, http_program

pytestmark = pytest.mark.real_time


@pytest.mark.parametrize("era", ERAS)
async def test_two_callers_of_one_agent_reach_a_server_each_with_their_own_headers(era: str) -> None:
    made = []

    async def headers(caller: Caller | None) -> dict[str, str]:
        assert caller is not None
        made.append(caller.name)
        return {"authorization": f"Bearer {caller.name}"}

    async with http_program(era) as (url, _):
        server = McpServer("web", url=url, headers=headers)
        script = Script(*(Reply(calls=(Call("whoami", {}),)), "done") * 2)

        async def ask(name: str) -> str:
            current_caller.set(Caller(name))
            replies = await agent.inquire("Who am I?")
            return next(str(message) for message in replies if isinstance(message, ToolResultMessage))

        async with MiniAgents() as system:
            agent = ScriptedModel.fork(script=script, tools=[server])
            answers = [await asyncio.create_task(ask(name), context=copy_context()) for name in ("ada", "bob")]
            keepers = [child.path for child in system.tree().children if "mcp" in child.path]

    assert answers == ["Bearer ada", "Bearer bob"]
    assert keepers == ["/mcp-web", "/mcp-web-2"]
    assert made.count("ada") >= 3, "before each request, since a token may be a new one"


async def test_authentication_may_depend_on_the_caller_and_all_share_a_connection_otherwise() -> None:
    class Token(httpx2.Auth):
        def __init__(self, name: str) -> None:
            self.name = name

        def auth_flow(self, request):  # type: ignore[no-untyped-def]
            request.headers["authorization"] = self.name
            yield request

    async with http_program() as (url, _):
        own = McpServer("own", url=url, auth=lambda caller: Token(caller.name if caller else "nobody"))
        shared = McpServer("shared", url=url, auth=Token("all"))

        async def ask(name: str) -> tuple[str, str]:
            current_caller.set(Caller(name))
            return (await own.call("whoami")).content, (await shared.call("whoami")).content

        async with MiniAgents() as system:
            answers = [await asyncio.create_task(ask(name), context=copy_context()) for name in ("ada", "bob")]
            keepers = [child.path for child in system.tree().children if "mcp" in child.path]

    assert answers == [("ada", "all"), ("bob", "all")]
    assert keepers == ["/mcp-own", "/mcp-shared", "/mcp-own-2"]


async def test_headers_that_cannot_be_made_fail_the_connection_with_their_reason() -> None:
    def headers(caller: Caller | None) -> dict[str, str]:
        raise LookupError("sign in at https://a.example")

    async with http_program() as (url, _), MiniAgents():
        with pytest.raises(McpUnavailableError, match=r"LookupError: sign in at https://a\.example"):
            await McpServer("web", url=url, headers=headers).started()
