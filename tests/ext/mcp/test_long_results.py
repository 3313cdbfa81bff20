"""Results that are too long for a model."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents.ext.llms import ImageMessage, ToolResultMessage
from miniagents.ext.mcp.long_results import LongResults


def test_a_result_of_exactly_the_bound_is_whole_and_one_letter_more_is_not() -> None:
    results = LongResults("read_more", max_tokens=2)
    whole = ToolResultMessage("a" * 8)

    assert results.shortened(whole) is whole
    assert results.shortened(ToolResultMessage("a" * 9, name="t", is_error=True)) == ToolResultMessage(
        'aaaa\n[1 characters are left out here. Read on with read_more(handle="1", start=4).]\naaaa',
        name="t",
        is_error=True,
    )


@given(st.text(st.characters(categories=("L", "N")), min_size=9, max_size=200))
def test_reading_on_gives_the_whole_text(text: str) -> None:
    results = LongResults("read_more", max_tokens=2)
    results.shortened(ToolResultMessage(text))

    whole, start = "", 0
    while True:
        part = results.read("1", start)
        whole += part.rsplit("\n[", 1)[0]
        following = re.search(r"start=(\d+)\)\.\]$", part)
        if following is None:
            break
        start = int(following[1])

    assert whole == text


def test_the_oldest_of_more_than_32_results_is_gone() -> None:
    results = LongResults("read_more", max_tokens=1)
    for number in range(33):
        results.shortened(ToolResultMessage(f"a long text {number}"))

    assert results.read("2", 0).startswith("a lo")
    with pytest.raises(LookupError, match="no result '1' any more: make its call again"):
        results.read("1", 0)


def test_a_result_with_an_image_is_not_shortened() -> None:
    result = ToolResultMessage("a" * 100, parts=(ImageMessage(data=b"1", media_type="image/png"),))

    assert LongResults("read_more", max_tokens=1).shortened(result) is result
