"""Channels between two nodes, over a network that loses, repeats and reorders frames."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniagents.cluster import NodeId
from miniagents.cluster.channel import QUEUE_BYTES, Channel
from miniagents.cluster.frames import MAX_ITEM, PIECE_BYTES, Frame, check_size, decode_frame, encode_frame, pack
from miniagents.errors import DecodeError, MessageTooLargeError
from miniagents.testing import VirtualTimeLoop
from miniagents.testing.network import Network

A, B = NodeId("a", 1), NodeId("b", 1)


class Ends:
    """Two nodes with a channel between them; `there` has what has arrived at the second one."""

    def __init__(self, seed: int = 0) -> None:
        self.network = Network(seed)
        self.here: list[Any] = []
        self.there: list[Any] = []
        self.a = self._channel(A, B, self.here)
        self.b = self._channel(B, A, self.there)

    def _channel(self, here: NodeId, there: NodeId, arrived: list[Any]) -> Channel:
        transport = self.network.transport(here)
        channel = Channel(
            here, there, transport, asyncio.get_running_loop(), lambda parts: arrived.append(tuple(parts[1:]))
        )
        transport.receive = lambda source, frame: channel.received(decode_frame(frame))
        return channel

    async def until_idle(self) -> None:
        for _ in range(10_000):
            if self.a.is_idle and self.b.is_idle:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the channels do not come to rest")


def item(*parts: Any) -> bytes:
    return pack([1, *parts])


async def test_what_is_sent_in_one_turn_travels_in_one_frame() -> None:
    ends = Ends()
    for number in range(100):
        ends.a.send(item(number))
    await ends.until_idle()
    assert ends.there == [(number,) for number in range(100)]
    assert ends.network.sent == 2, "the frame and its acknowledgement"


async def test_an_acknowledgement_travels_with_the_answer() -> None:
    ends = Ends()
    ends.a.send(item("question"))
    await asyncio.sleep(0.005)
    ends.b.send(item("answer"))
    await ends.until_idle()
    assert (ends.there, ends.here) == ([("question",)], [("answer",)])
    assert ends.network.sent == 3


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    loss=st.sampled_from([0.0, 0.2, 0.6]),
    duplication=st.sampled_from([0.0, 0.5]),
    jitter=st.sampled_from([0.0, 0.01, 3.0]),
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=8),
)
def test_items_arrive_once_and_in_order_whatever_the_network_does(
    seed: int, loss: float, duplication: float, jitter: float, counts: list[int]
) -> None:
    async def main() -> None:
        ends = Ends(seed)
        ends.network.loss, ends.network.duplication, ends.network.jitter = loss, duplication, jitter
        sent = 0
        for count in counts:
            for _ in range(count):
                ends.a.send(item(sent))
                ends.b.send(item(-sent))
                sent += 1
            await asyncio.sleep(0.3)
        await ends.until_idle()
        assert ends.there == [(number,) for number in range(sent)]
        assert ends.here == [(-number,) for number in range(sent)]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


async def test_what_is_sent_during_a_partition_arrives_after_it() -> None:
    ends = Ends()
    ends.network.cut("a", "b")
    ends.a.send(item("during"))
    await asyncio.sleep(60)
    assert ends.there == []
    assert ends.a.unreached_since is not None
    assert ends.network.sent < 15, "the pauses between attempts grow"

    ends.network.mend()
    await ends.until_idle()

    assert ends.there == [("during",)]
    assert ends.a.unreached_since is None


async def test_a_one_way_partition_delivers_once_although_no_acknowledgement_comes_back() -> None:
    ends = Ends()
    ends.network.cut("b", "a", both=False)
    ends.a.send(item("one"))
    await asyncio.sleep(60)
    assert ends.there == [("one",)]

    ends.network.mend()
    await ends.until_idle()

    assert ends.there == [("one",)]


async def test_control_overtakes_the_data_that_wait() -> None:
    ends = Ends()
    for number in range(8):
        ends.a.send(item(number, b"x" * 200_000))
    ends.a.send(item("control"), control=True)
    await ends.until_idle()
    assert [parts[0] for parts in ends.there] == ["control", *range(8)]


async def test_large_control_may_come_between_the_pieces_of_large_data() -> None:
    ends = Ends()
    large = b"x" * (9 * PIECE_BYTES)
    ends.a.send(item("data", large))
    await asyncio.sleep(0.0005)
    ends.a.send(item("control", large), control=True)
    await ends.until_idle()
    assert [parts[0] for parts in ends.there] == ["control", "data"]


async def test_an_item_that_is_taken_back_before_it_has_left_never_arrives() -> None:
    ends = Ends()
    ends.a.send(item("one"))
    two = ends.a.send(item("two"))
    assert ends.a.withdraw(two)
    await ends.until_idle()
    assert ends.there == [("one",)]
    three = ends.a.send(item("three"))
    await ends.until_idle()
    assert not ends.a.withdraw(three)
    assert ends.there == [("one",), ("three",)]


async def test_a_large_item_travels_in_pieces_and_one_given_up_halfway_is_forgotten() -> None:
    ends = Ends()
    large = item("large", b"x" * (5 * PIECE_BYTES))
    given_up = ends.a.send(large)
    await asyncio.sleep(0.0005)  # one frame has left
    assert not ends.a.withdraw(given_up)
    ends.a.send(large)
    await ends.until_idle()
    assert ends.there == [("large", b"x" * (5 * PIECE_BYTES))]


async def test_a_full_channel_lets_wait_until_what_waits_is_acknowledged() -> None:
    ends = Ends()
    ends.network.cut("a", "b")
    ends.a.send(item(b"x" * QUEUE_BYTES))
    waiting = asyncio.create_task(ends.a.room())
    await asyncio.sleep(10)
    assert ends.a.is_full
    assert not waiting.done()

    ends.network.mend()
    await waiting

    assert not ends.a.is_full


async def test_a_closed_channel_ends_waits_and_forgets_what_waits() -> None:
    ends = Ends()
    ends.network.cut("a", "b")
    ends.a.send(item(b"x" * QUEUE_BYTES))
    waiting = asyncio.create_task(ends.a.room())
    await asyncio.sleep(10)
    ends.a.close()
    await waiting
    ends.a.send(item("late"))
    await asyncio.sleep(10)
    assert ends.a.is_idle


async def test_a_node_that_may_not_send_says_nothing_any_more() -> None:
    ends = Ends()
    ends.a._may_send = lambda: False
    ends.a.send(item("late"))
    await asyncio.sleep(60)
    assert ends.there == []
    assert ends.network.sent == 0


async def test_a_node_that_is_gone_is_tried_again_with_pauses_and_not_in_every_turn() -> None:
    ends = Ends()
    ends.network.leaves(B)
    ends.a.send(item("one"))
    await asyncio.sleep(3)
    ends.a.send(item("two"))
    await asyncio.sleep(57)
    assert ends.network.sent < 20


async def test_an_item_that_cannot_be_read_fails_alone(log: list[Any]) -> None:
    ends = Ends()
    ends.a.send(item("one"))
    ends.a.send(pack({"not": "an item"}))
    ends.a.send(pack([]))
    ends.a.send(pack([0, "part"]))
    ends.a.send(item("two"))
    await ends.until_idle()
    assert ends.there == [("one",), ("two",)]
    assert [entry["event"] for entry in log] == ["link.unreadable_item"] * 3


def test_bytes_that_are_no_frame_are_refused() -> None:
    frame = encode_frame(Frame("a", 1, 1, 1, 0, []))
    assert decode_frame(frame) == Frame("a", 1, 1, 1, 0, [])
    for data in (b"", frame[:-1], b"\x93\x01\x02\x03", pack(["a", "1", 1, 1, 0, []])):
        with pytest.raises(DecodeError):
            decode_frame(data)


def test_an_item_that_is_too_large_is_refused_at_its_sender() -> None:
    check_size(bytes(MAX_ITEM), "/a")
    with pytest.raises(MessageTooLargeError, match=r"/a: a message of 67,108,865 bytes .* \(67,108,864\)") as caught:
        check_size(bytes(MAX_ITEM + 1), "/a")
    assert (caught.value.size, caught.value.limit) == (MAX_ITEM + 1, MAX_ITEM)
