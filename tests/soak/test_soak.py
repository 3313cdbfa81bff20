"""The soaks in small; `make soak` plays them in full."""

from pathlib import Path

import pytest

from tests.soak import counting, nodes, swarm

pytestmark = [pytest.mark.real_time, pytest.mark.slow]


@pytest.mark.timeout(300)
def test_a_swarm_that_is_killed_asks_for_no_recorded_answer_again(tmp_path: Path) -> None:
    figures = swarm.play(tmp_path, kills=10)

    assert figures.agents > 200


@pytest.mark.timeout(120)
def test_each_message_is_counted_once_however_often_the_process_is_killed_and_its_senders_send_again(
    tmp_path: Path,
) -> None:
    figures = counting.play(tmp_path, messages=1500, kills=5)

    assert figures.sent > figures.total == 1500


@pytest.mark.timeout(180)
async def test_nodes_under_load_lose_nothing_and_what_is_cancelled_leaves_nothing_running_there() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'miniagents[ray]'")

    figures = await nodes.play(3.0, cancelled=100)

    assert figures.tells > 0
    assert figures.asks > 0
    assert figures.tokens > 0
