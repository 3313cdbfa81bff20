"""Contents of a server as messages."""

import base64
from typing import Any

import mcp_types as types
import pytest

from miniagents.ext.llms import FileMessage
from miniagents.ext.mcp.results import part_of, result_message
from miniagents.messages import UserMessage


def result(*texts: str, structured: Any = None) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text) for text in texts], structured_content=structured)


@pytest.mark.parametrize(
    ("texts", "structured", "content"),
    [
        (["hello"], None, "hello"),
        (["one", "two"], None, "one\ntwo"),
        ([], {"a": 1}, '{"a":1}'),
        (['{"a": 1}'], {"a": 1}, '{"a": 1}'),
        (["5"], {"result": 5}, "5"),
        (["hello"], {"result": "hello"}, "hello"),
        (["a", "b"], {"result": ["a", "b"]}, "a\nb"),
        (['{"n": 1}', '{"n": 2}'], {"result": [{"n": 1}, {"n": 2}]}, '{"n": 1}\n{"n": 2}'),
        (["5"], {"result": "5"}, "5"),
        (["Two rows were found."], {"rows": [1, 2]}, 'Two rows were found.\n{"rows":[1,2]}'),
        ([], None, "(no result)"),
    ],
)
def test_a_result_has_structured_content_or_the_text_that_says_the_same(
    texts: list[str], structured: Any, content: str
) -> None:
    message = result_message(result(*texts, structured=structured), "tool")

    assert (message.content, message.parts, message.name) == (content, (), "tool")


def test_bytes_that_are_not_base64_are_told_and_never_shown_as_text() -> None:
    part = part_of(types.ImageContent(data="§§§", mime_type="image/png"))

    assert part == UserMessage("[image: image/png, which is not valid base64]")


def test_a_sound_that_models_do_not_take_is_a_file() -> None:
    part = part_of(types.AudioContent(data=base64.b64encode(b"Ogg").decode(), mime_type="audio/ogg"))

    assert part == FileMessage(data=b"Ogg", media_type="audio/ogg", filename="sound")
