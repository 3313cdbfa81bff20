"""The options of `RayCluster`, and what it says without Ray. No Ray runs here."""

import asyncio
import subprocess
import sys

import pytest

from miniagents import InvalidOptionError, MiniAgents, MissingDependencyError
from miniagents.cluster import NodeId
from miniagents.ext.ray import RayCluster
from miniagents.ext.ray.launcher import RayLauncher
from miniagents.ext.ray.transport import PIECE_BYTES, Piece, Pieces, pieces_of


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"nodes": 0}, "nodes= must be 1 or more, not 0"),
        ({"nodes": []}, "nodes= must be 1 node or more"),
        ({"nodes": 1, "resource": "miniagents"}, "resource= is for an existing cluster: give its address="),
        ({"nodes": 1, "suspect_after": 0}, "suspect_after= must be 1 or more, or None, not 0"),
        ({"nodes": 1, "lease": 0}, "lease= must be more than 0 seconds, not 0"),
    ],
)
def test_an_option_outside_its_range_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        RayCluster(**options)  # type: ignore[arg-type]

    assert said in str(caught.value)


def test_importing_and_making_a_cluster_does_not_load_ray() -> None:
    code = (
        "import sys; from miniagents.ext.ray import RayCluster; RayCluster(nodes=2); RayCluster(); "
        "print([name for name in sys.modules if name.split('.')[0] == 'ray'])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)

    assert done.stdout.strip() == "[]"


async def test_without_ray_the_start_of_the_system_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'miniagents\[ray\]'"):
        async with MiniAgents(cluster=RayCluster(nodes=1)):
            pass


@pytest.mark.real_time
async def test_an_address_where_nothing_listens_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")

    with pytest.raises(ConnectionError, match=r"no Ray cluster at .127"):
        async with MiniAgents(cluster=RayCluster(nodes=1, address="127.0.0.1:9")):
            pass


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_a_frame_is_cut_into_pieces_that_ray_carries_within_a_call(size: int) -> None:
    frame = bytes(number % 251 for number in range(size))

    pieces = list(pieces_of(frame))

    assert b"".join(pieces) == frame
    assert len(pieces) == max(1, -(-size // PIECE_BYTES))
    assert max(len(piece) for piece in pieces) <= PIECE_BYTES


def test_pieces_that_overtake_each_other_make_the_frames_in_their_order() -> None:
    frames: list[bytes] = []
    pieces = Pieces(frames.append)

    for number, is_last, data in [
        (1, True, b"b"),
        (2, True, b"c"),
        (0, False, b"a"),
        (4, True, b"e"),
        (3, False, b"d"),
    ]:
        pieces.take(Piece(number, is_last, data))

    assert frames == [b"ab", b"c", b"de"]


async def test_an_address_that_does_not_answer_is_told_with_the_seconds_that_were_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no_answer(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(asyncio, "open_connection", no_answer)
    launcher = RayLauncher([], address="192.0.2.1:6379", resource="")

    with pytest.raises(ConnectionError, match=r"no Ray cluster at '192\.0\.2\.1:6379': no answer for 5 s"):
        await launcher.open(NodeId("driver", 1))
