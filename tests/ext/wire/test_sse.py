"""Server-sent events are read from bytes, however these are cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents.ext.wire.sse import DONE, PING, EventDecoder, sse


def read(*chunks: bytes) -> list[tuple[str, bytes]]:
    decoder = EventDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.end()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_an_event_has_a_type_and_its_lines_of_data(line_end: bytes) -> None:
    lines = [b"event: news", b"data: one", b"data:two", b"data:  three", b"", b"data: four", b"", b""]

    assert read(line_end.join(lines)) == [("news", b"one\ntwo\n three"), ("", b"four")]


@pytest.mark.parametrize(
    "silence",
    [
        b"data:\n\n",
        b"data: \n\n",
        b"data\n\n",
        b": ping\n\n",
        b"id: 1\n\n",
        b"retry: 3\n\n",
        b"event: ping\n\n",
        b"\n\n",
        PING,
    ],
)
def test_what_has_no_data_is_no_event(silence: bytes) -> None:
    assert read(silence, b"data: 1\n\n", silence, b"data: 2\n\n") == [("", b"1"), ("", b"2")]


def test_a_type_is_that_of_one_event_alone() -> None:
    assert read(b"event: a\n\ndata: 1\n\n") == [("", b"1")]


def test_a_byte_order_mark_is_skipped() -> None:
    assert read(b"\xef\xbb\xbfdata: 1\n\n") == [("", b"1")]


def test_the_last_event_needs_no_blank_line() -> None:
    assert read(b"data: 1\n\ndata: [DONE]") == [("", b"1"), ("", b"[DONE]")]


def test_an_empty_chunk_between_the_halves_of_a_line_end_makes_no_difference() -> None:
    assert read(b"event: a\r", b"", b"\ndata: 1\r\n\r\n") == [("a", b"1")]


def test_an_error_body_that_is_sent_as_a_stream_is_kept() -> None:
    decoder = EventDecoder()
    decoder.feed(b'{"error":\n "oh"}')
    decoder.end()

    assert json.loads(decoder.stray) == {"error": "oh"}


def test_what_strays_between_events_is_not_kept() -> None:
    decoder = EventDecoder()
    decoder.feed(b"data: 1\n\nstray: line\n\n")

    assert not decoder.stray


events = st.lists(st.tuples(st.sampled_from(["", "a", "long name"]), st.text(max_size=9) | st.integers()), max_size=5)


@given(events, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.data())
def test_it_makes_no_difference_where_the_bytes_are_cut(
    given_events: list[tuple[str, object]], line_end: bytes, data: st.DataObject
) -> None:
    raw = b"".join(PING + sse(value, kind or None) for kind, value in given_events) + DONE
    raw = raw.replace(b"\n", line_end)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=9)))
    chunks = [raw[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    *found, done = read(*chunks)

    assert [(kind, json.loads(value)) for kind, value in found] == [(kind, value) for kind, value in given_events]
    assert done == ("", b"[DONE]")
