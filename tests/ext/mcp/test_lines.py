"""Lines of bounded length."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents.ext.mcp.lines import Lines, TooLong


@given(st.binary(max_size=60).map(lambda data: data.replace(b"x", b"\n")), st.lists(st.integers(0, 60), max_size=6))
def test_lines_are_those_of_the_whole_stream_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    lines = Lines(max_bytes=8)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]

    found = [line for start, end in pairwise(edges) for line in lines.feed(data[start:end])]

    assert [line if isinstance(line, bytes) else line.size for line in found] == [
        line if len(line) <= 8 else len(line) for line in data.split(b"\n")[:-1]
    ]


def test_a_line_of_exactly_the_bound_is_taken_and_one_byte_more_is_not() -> None:
    lines = Lines(max_bytes=4)

    assert lines.feed(b"1234\n12345\n") == [b"1234", TooLong(5, None)]


@pytest.mark.parametrize(
    ("message", "request_id"),
    [
        ({"jsonrpc": "2.0", "id": 7, "result": {"id": 8, "text": "x" * 3000}}, 7),
        ({"id": "a-1", "jsonrpc": "2.0", "result": "x" * 3000}, "a-1"),
        ({"result": {"id": 8, "text": "x" * 3000}, "jsonrpc": "2.0", "id": 7}, 7),
        ({"jsonrpc": "2.0", "result": {"text": "x" * 3000}, "id": 7}, 7),
        ({"result": ["x" * 3000], "id": 7, "jsonrpc": "2.0"}, 7),
        ({"jsonrpc": "2.0", "result": {"text": "x" * 3000, "id": 8}}, None),
        ({"jsonrpc": "2.0", "method": "note", "params": {"text": "x" * 3000, "id": 8}}, None),
        ({"result": {"text": "x" * 3000 + '", "id": 8}'}, "jsonrpc": "2.0"}, None),
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_the_id_of_a_message_that_is_too_long_is_found_at_its_ends_and_nowhere_else(
    message: object, request_id: object, separators: tuple[str, str]
) -> None:
    line = json.dumps(message, separators=separators).encode()
    lines = Lines(max_bytes=1000)

    found = [got for start in range(0, len(line), 700) for got in lines.feed(line[start : start + 700])]
    found += lines.feed(b"\n")

    assert found == [TooLong(len(line), request_id)]  # type: ignore[arg-type]
