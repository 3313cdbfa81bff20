"""Finding tools by words."""

import pytest

from miniagents.ext.llms import Tool
from miniagents.ext.mcp.finding import ToolFinder, tokens_of


async def call(**arguments: object) -> str:
    return ""


def tool(name: str, description: str, *parameters: str) -> Tool:
    schema = {"type": "object", "properties": {parameter: {"type": "string"} for parameter in parameters}}
    return Tool(call, name, description=description, schema=schema)


TOOLS = [
    tool("readFile", "Reads a document.", "path"),
    tool("delete_file", "Removes a document.", "path"),
    tool("list_users", "Who may sign in.", "page"),
    *(tool(f"other_{number}", "Does nothing of use.") for number in range(20)),
]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("read a file", ["readFile", "delete_file"]),
        ("FILES", ["delete_file", "readFile"]),
        ("remove", ["delete_file"]),
        ("user", ["list_users"]),
        ("path", ["delete_file", "readFile"]),
        ("xy", []),
        ("", []),
    ],
)
def test_tools_are_found_by_words_of_name_description_and_parameters_in_any_form(query: str, names: list[str]) -> None:
    assert [tool.spec.name for tool in ToolFinder(TOOLS).found(query)] == names


def test_at_most_eight_are_found() -> None:
    assert len(ToolFinder(TOOLS).found("other")) == 8


def test_a_name_counts_more_than_a_description() -> None:
    finder = ToolFinder([tool("a", "mail mail"), tool("mail", "letters")])

    assert [found.spec.name for found in finder.found("mail")] == ["mail", "a"]


def test_the_tokens_of_a_tool_are_a_quarter_of_its_letters() -> None:
    assert tokens_of(tool("name", "about")) == (4 + 5 + len('{"type":"object","properties":{}}')) // 4
