"""Connections on behalf of callers."""

import asyncio
from contextlib import aclosing
from contextvars import copy_context

import httpx2
import pytest

from miniagents import MiniAgents
from miniagents.actors import Caller, EventKind
from miniagents.actors.observing.caller import current_caller
from miniagents.errors import McpUnavailableError
from miniagents.ext.llms import ToolResultMessage
from miniagents.ext.mcp import McpServer
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.mcp.servers import ERAS, http_program, until

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


@pytest.mark.parametrize("era", ERAS)
async def test_two_users_of_one_agent_are_shown_and_may_call_what_each_has_the_right_to(era: str) -> None:
    def headers(caller: Caller | None) -> dict[str, str]:
        assert caller is not None
        return {"authorization": f"Bearer {caller.name}"}

    async with http_program(era) as (url, _):
        server = McpServer("web", url=url, headers=headers)
        script = Script("done")

        async def ask(name: str) -> tuple[bool, ToolResultMessage]:
            current_caller.set(Caller(name))
            await ScriptedModel.fork(script=script, tools=[server]).inquire("Hi")
            shown = {tool.name for tool in script.requests[-1].tools}
            return "once" in shown, await server.call("once")

        async with MiniAgents():
            guest, ada, guest_again = [
                await asyncio.create_task(ask(name), context=copy_context()) for name in ("guest", "ada", "guest")
            ]

    assert (guest[0], ada[0], guest_again[0]) == (False, True, False)
    assert (str(guest[1]), ada[1].is_error, guest_again[1].is_error) == ("once is not for guests", False, True)


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


def connections(system: MiniAgents) -> int:
    """The number of open connections to servers."""
    return sum(len(child.children) for child in system.tree().children if "mcp" in child.path)


@pytest.mark.parametrize("era", ERAS)
async def test_a_callers_connection_that_nobody_uses_is_closed_and_made_again_at_the_next_use(era: str) -> None:
    async with http_program(era) as (url, _), MiniAgents() as system:
        server = McpServer("web", url=url, headers=lambda caller: {}, close_after=0.05)

        tools = await server.tools()
        with system.events.subscribe() as events:
            await until(lambda: connections(system) == 0)
            same = await server.tools()
            echoed = [await server.call("echo", text="hello")]
            await until(lambda: connections(system) == 0)
            echoed.append(await server.call("echo", text="again"))
        kinds = [event.kind async for event in events]

    assert [tool.spec.name for tool in same] == [tool.spec.name for tool in tools]
    assert list(map(str, echoed)) == ["hello", "again"]
    assert EventKind.CRASH not in kinds, "it was closed on purpose"


@pytest.mark.parametrize("era", ERAS)
async def test_a_connection_is_in_use_as_long_as_somebody_is_subscribed(era: str) -> None:
    async with http_program(era) as (url, _), MiniAgents() as system:
        server = McpServer("web", url=url, headers=lambda caller: {}, close_after=0.05)
        (resource, *_) = await server.resources()
        async with aclosing(server.subscribe(resource.uri)) as versions:
            await anext(versions)
            await asyncio.sleep(0.2)  # in which it would be closed
            while_subscribed = connections(system)
        await until(lambda: connections(system) == 0)

    assert while_subscribed == 1


async def test_a_connection_that_all_share_is_not_closed() -> None:
    async with http_program() as (url, _), MiniAgents() as system:
        await McpServer("web", url=url, close_after=0.01).started()
        await asyncio.sleep(0.1)  # in which it would be closed

        assert connections(system) == 1


async def test_headers_that_cannot_be_made_fail_the_connection_with_their_reason() -> None:
    def headers(caller: Caller | None) -> dict[str, str]:
        raise LookupError("sign in at https://a.example")

    async with http_program() as (url, _), MiniAgents():
        with pytest.raises(McpUnavailableError, match=r"LookupError: sign in at https://a\.example"):
            await McpServer("web", url=url, headers=headers).started()
