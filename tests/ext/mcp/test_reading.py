"""Resources, prompts and subscriptions, in both eras."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from miniagents import MiniAgents
from miniagents.errors import McpError, McpUnavailableError
from miniagents.ext.llms import ImageMessage
from miniagents.ext.mcp.reading import ResourceMessage
from miniagents.messages import AssistantMessage, UserMessage
from tests.ext.mcp.program import PNG
from tests.ext.mcp.servers import ERAS, noted, server_of, stdio_server, until

pytestmark = pytest.mark.real_time


@pytest.mark.parametrize("era", ERAS)
async def test_resources_of_all_pages_and_prompts_are_our_messages(era: str) -> None:
    server = stdio_server(era)
    async with MiniAgents():
        resources = await server.resources()
        text = await server.read("notes://one")
        image = await server.read("notes://two")
        prompt = await server.prompt("question", about="life")
        with pytest.raises(McpError, match="no resource notes://three"):
            await server.read("notes://three")

    assert resources == [
        ResourceMessage(uri="notes://one", name="one", description="The first.", media_type="text/plain"),
        ResourceMessage(uri="notes://two", name="Two"),
        ResourceMessage(uri="notes://{number}", name="any", is_template=True),
    ]
    assert text == (UserMessage("one"),)
    assert image == (ImageMessage(data=PNG, media_type="image/png"),)
    assert prompt == (UserMessage("What is life?"), AssistantMessage("Let me think."))


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_subscription_gives_the_contents_of_now_and_those_after_each_change(
    transport: str, era: str, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    async with server_of(transport, era, notes) as server:
        async with MiniAgents():
            async with aclosing(server.subscribe("notes://one")) as versions:
                first = await anext(versions)
                await server.call("touch")
                second = await anext(versions)
            if era == "old":
                await until(lambda: "unsubscribed notes://one" in noted(notes))

        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert (str(first), str(second)) == ("one", "one!")


@pytest.mark.parametrize("era", ERAS)
async def test_a_subscription_goes_on_after_the_end_of_the_program_and_ends_with_the_server(era: str) -> None:
    server = stdio_server(era)
    async with MiniAgents() as system, aclosing(server.subscribe("notes://one")) as versions:
        await anext(versions)
        await server.call("touch")
        assert str(await anext(versions)) == "one!"
        with pytest.raises(McpError):
            await server.call("die")
        assert str(await anext(versions)) == "one", "a fresh program"
        actor = system.lookup("/mcp-tests")
        assert actor is not None
        await actor.stop()
        with pytest.raises(McpUnavailableError):
            await anext(versions)
