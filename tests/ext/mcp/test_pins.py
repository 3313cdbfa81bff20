"""Tools as they were approved."""

from pathlib import Path
from typing import Any

import mcp_types as types
import pytest

from miniagents import MiniAgents
from miniagents.errors import InvalidOptionError, McpError
from miniagents.ext.mcp.pins import Pins
from tests.ext.mcp.servers import stdio_server, until


def tool(name: str = "read", **changes: Any) -> types.Tool:
    return types.Tool(**{"name": name, "description": "Reads.", "input_schema": {"type": "object"}, **changes})


def names(tools: list[types.Tool]) -> list[str]:
    return [tool.name for tool in tools]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"description": "Reads all."}, '- "description": "Reads.",\n+ "description": "Reads all.",'),
        ({"title": "Read"}, '+ "title": "Read"'),
        ({"input_schema": {"type": "object", "properties": {"a": {}}}}, '"a": {}'),
        ({"output_schema": {"type": "object"}}, '"output_schema": {'),
        ({"annotations": types.ToolAnnotations(read_only_hint=True)}, '"read_only_hint": true'),
    ],
)
async def test_a_tool_that_has_changed_in_any_way_is_left_out_and_the_difference_is_shown(
    changes: dict[str, Any], shown: str, log: list[Any]
) -> None:
    pins = Pins("files", "a", "", None)
    assert names(await pins.approved([tool(), tool("write")])) == ["read", "write"]

    for _ in range(2):
        assert names(await pins.approved([tool(**changes), tool("write")])) == ["write"]

    assert list(pins.differences) == ["read"]
    assert shown in pins.differences["read"]
    assert [entry["tool"] for entry in log] == ["read"], "it is logged once"


async def test_a_new_tool_and_a_new_name_are_left_out() -> None:
    pins = Pins("files", "a", "", None)
    await pins.approved([tool()])

    assert await pins.approved([tool("load"), tool("write", description="Writes.")]) == []
    assert pins.differences["load"] == "it is a new name of 'read'"
    assert pins.differences["write"].startswith("it is new: {")


async def test_a_tool_that_is_approved_is_let_through_as_it_is_then() -> None:
    pins = Pins("files", "a", "", None)
    await pins.approved([tool()])
    await pins.approved([tool(description="B")])

    await pins.approve(["read"])

    assert names(await pins.approved([tool(description="B")])) == ["read"]
    assert await pins.approved([tool()]) == []
    with pytest.raises(InvalidOptionError, match="has no tool 'nothing' to approve"):
        await pins.approve(["nothing"])


async def test_a_file_keeps_the_pins_of_each_server_and_owner_and_of_one_place(tmp_path: Path) -> None:
    file = tmp_path / "pins.json"
    for server, owner in (("files", ""), ("files", "ada"), ("web", "")):
        await Pins(server, "a", owner, file).approved([tool(description=f"{server} {owner}")])

    for server, owner in (("files", ""), ("files", "ada"), ("web", "")):
        pins = Pins(server, "a", owner, file)
        assert names(await pins.approved([tool(description=f"{server} {owner}"), tool("b")])) == ["read"]
    assert await Pins("files", "elsewhere", "", file).approved([tool(description="files ")]) == []


async def test_a_file_that_holds_no_pins_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pins.json"
    file.write_text("no")

    with pytest.raises(InvalidOptionError, match=r"pins\.json: holds no pins"):
        await Pins("files", "a", "", file).approved([])


@pytest.mark.real_time
async def test_a_tool_that_appears_later_is_neither_shown_nor_called_until_it_is_approved() -> None:
    server = stdio_server(pin=True)
    async with MiniAgents():
        before = [tool.spec.name for tool in await server.tools()]
        await server.call("change")
        await until(lambda: any(tool.name == "new" for tool in server._connected().link.tools or ()))
        during = [tool.spec.name for tool in await server.tools()]
        with pytest.raises(McpError, match="the tool 'new' of the MCP server 'tests' is not approved: it is new"):
            await server.call("new")
        differences = await server.unapproved()
        await server.approve("new")
        after = [tool.spec.name for tool in await server.tools()]
        result = await server.call("new")

    assert during == [name for name in before if name != "echo"]
    assert list(differences) == ["new"]
    assert after == [*during, "new"]
    assert result.content == "new does nothing"
