"""The launcher and the transport over a real Ray on this machine, with nodes that echo."""

import asyncio
import itertools
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import msgspec
import psutil
import pytest
import pytest_asyncio

pytest.importorskip("ray", reason="Ray is not installed: pip install 'miniagents[ray]'")

from miniagents.cluster.transport import LossCause, NodeId
from miniagents.errors import InvalidOptionError
from miniagents.ext.ray import launcher
from tests.ext.ray.clusters import Driver, driving, echo_launcher, processes

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slow,
    pytest.mark.timeout(120),
]

EPOCHS = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def driver() -> AsyncIterator[Driver]:
    """A driver of an own cluster with two places, started in an environment that names another cluster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
        patch.setenv("RAY_REDIS_ADDRESS", "192.0.2.1:6380")
        patch.setenv("RAY_TMPDIR", "/nonexistent")
        async with driving(echo_launcher("node-1", "node-2")) as driver:
            yield driver


async def started(driver: Driver, name: str = "node-1", settings: bytes = b"settings") -> NodeId:
    """Start a node with a new epoch, after those that are there were killed."""
    for life in tuple(driver.launcher._lives):
        if life.name == name:
            await driver.launcher.kill(life)
    node = NodeId(name, next(EPOCHS))
    await driver.launcher.start(node, settings)
    return node


def own_pids(driver: Driver) -> list[int]:
    assert driver.launcher.own is not None
    return processes(str(driver.launcher.own.folder))


async def held(driver: Driver, node: NodeId) -> None:
    """Wait until the loop of a node is held."""
    while await driver.launcher.beat(node, b"") != b" held":
        pass


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_a_node_gets_its_settings_and_runs_on_uvloop_in_a_process_of_its_own(driver: Driver) -> None:
    facts = await driver.facts(await started(driver))

    assert facts["settings"] == b"settings"
    assert facts["loop"] == "uvloop"
    assert facts["pid"] != os.getpid()


@pytest.mark.parametrize("size", [0, 100_000, 1_000_000])
async def test_a_frame_of_any_size_arrives_as_it_was_sent_in_both_directions(driver: Driver, size: int) -> None:
    node = await started(driver)
    frame = b"e" + os.urandom(size)

    assert await driver.ask(node, frame) == frame


async def test_frames_of_one_sender_that_waits_for_each_keep_their_order(driver: Driver) -> None:
    node = await started(driver)
    frames = [b"e%d" % number + bytes(number % 7 * 60_000) for number in range(60)]

    for frame in frames:
        await driver.transport.send(node, frame)

    assert [(await driver.received.get())[1] for _ in frames] == frames


async def test_nodes_send_frames_to_each_other_without_the_driver(driver: Driver) -> None:
    one, two = await started(driver), await started(driver, "node-2")

    await driver.transport.send(one, b"r" + msgspec.msgpack.encode((*two, "driver", b"via")))

    assert await driver.received.get() == (two, f"{one} via".encode())


async def test_a_frame_to_a_node_that_is_gone_is_a_connection_error(driver: Driver) -> None:
    node = await started(driver)
    await driver.launcher.kill(node)

    with pytest.raises(ConnectionError, match="cannot be reached"):
        await driver.transport.send(node, b"e")


async def test_a_node_that_ends_by_itself_is_reported(driver: Driver) -> None:
    node = await started(driver)

    await driver.transport.send(node, b"x")

    assert await driver.losses.get() == (node, LossCause.UNKNOWN)


async def test_a_runtime_killed_with_signal_9_is_reported_at_once_and_another_takes_its_place(
    driver: Driver,
) -> None:
    node = await started(driver)
    pid = (await driver.facts(node))["pid"]
    killed_at = time.monotonic()

    os.kill(pid, signal.SIGKILL)

    assert await driver.losses.get() == (node, LossCause.KILLED)
    assert time.monotonic() - killed_at < 10, "Ray itself takes longer"
    assert await driver.launcher.kill(node), "the kernel says that it has ended"
    assert (await driver.facts(await started(driver)))["pid"] != pid


async def test_a_runtime_that_is_stopped_is_killed_at_once_and_another_takes_its_place(driver: Driver) -> None:
    node = await started(driver)
    pid = (await driver.facts(node))["pid"]
    os.kill(pid, signal.SIGSTOP)

    assert await driver.launcher.kill(node), "the kernel says that it has ended"
    await asyncio.wait_for(gone(pid), 30)

    assert (await driver.facts(await started(driver)))["pid"] != pid


async def test_the_loss_of_a_raylet_is_reported_its_node_ends_and_another_raylet_takes_its_place(
    driver: Driver,
) -> None:
    node = await started(driver)
    pid = (await driver.facts(node))["pid"]
    assert driver.launcher.own is not None
    killed_at = time.monotonic()

    os.kill(driver.launcher.own.raylets["node-1"], signal.SIGKILL)

    assert await driver.losses.get() == (node, LossCause.KILLED)
    assert time.monotonic() - killed_at < 20
    await asyncio.wait_for(gone(pid), 30)
    assert (await driver.facts(await started(driver)))["pid"] != pid


async def test_a_raylet_that_is_stopped_is_reported_and_replaced(driver: Driver) -> None:
    node = await started(driver)
    assert driver.launcher.own is not None
    raylet = driver.launcher.own.raylets["node-1"]
    os.kill(raylet, signal.SIGSTOP)

    assert await asyncio.wait_for(driver.losses.get(), 15) == (node, LossCause.SILENT)
    await started(driver)

    await asyncio.wait_for(gone(raylet), 30)


async def test_a_node_that_refuses_to_start_says_why_and_its_place_is_free_again(driver: Driver) -> None:
    with pytest.raises(InvalidOptionError, match="node 'node-1' does not start: ValueError: refused for a test"):
        await started(driver, settings=b"refused for a test")

    assert await driver.ask(await started(driver), b"e") == b"e"


async def test_a_heartbeat_is_answered_by_a_thread_while_the_loop_of_the_node_is_held(driver: Driver) -> None:
    node = await started(driver)
    holding = asyncio.create_task(driver.transport.send(node, b"b2"))
    await held(driver, node)

    answers = [await driver.launcher.beat(node, b"%d" % number) for number in range(3)]

    assert answers == [b"0 held", b"1 held", b"2 held"]
    await holding
    assert await driver.launcher.beat(node, b"3") == b"3 free"


async def test_a_heartbeat_to_a_node_that_is_gone_is_a_connection_error(driver: Driver) -> None:
    node = await started(driver)
    await driver.launcher.kill(node)

    with pytest.raises(ConnectionError, match="has ended"):
        await driver.launcher.beat(node, b"")


async def test_a_node_whose_lease_lapses_while_its_loop_is_held_ends_its_process(driver: Driver) -> None:
    node = await started(driver)
    pid = (await driver.facts(node))["pid"]
    holding = asyncio.create_task(driver.transport.send(node, b"b30"))
    await held(driver, node)

    await driver.launcher.beat(node, b"lapse")

    assert (await asyncio.wait_for(driver.losses.get(), 30))[0] == node
    await asyncio.wait_for(gone(pid), 30)
    with pytest.raises(ConnectionError):
        await holding


async def test_files_and_ports_of_an_own_cluster_are_for_its_user_on_this_machine_alone(driver: Driver) -> None:
    await started(driver)
    assert driver.launcher.own is not None
    folder = driver.launcher.own.folder

    listening = {
        connection.laddr.ip
        for pid in own_pids(driver)
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    assert listening
    assert {ip for ip in listening if not ip.removeprefix("::ffff:").startswith("127.")} == set()


async def test_a_stranger_without_the_token_is_refused(driver: Driver) -> None:
    assert driver.launcher.own is not None
    code = (
        "import sys; from ray._raylet import GcsClient;"
        f"print(GcsClient(address={driver.launcher.own.address!r}).internal_kv_keys(b'', None, timeout=5))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code),
        env={**environment, "RAY_AUTH_MODE": "disabled"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )

    _, output = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode != 0
    assert "auth" in output.decode().lower()


async def test_a_node_for_which_no_place_becomes_free_says_so(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    await started(driver)
    monkeypatch.setattr(launcher, "START_TIMEOUT", 0.5)

    with pytest.raises(ConnectionError, match="did not start it: no place was free"):
        await driver.launcher.start(NodeId("node-1", next(EPOCHS)), b"settings")
