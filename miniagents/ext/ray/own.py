"""`OwnRay`: a Ray cluster on this machine that belongs to one program, and ends with it."""

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from miniagents.ext.ray.requests import Answer, Head, RayletRequest

PREFIX = "miniagents-ray-"

OBJECT_STORE_BYTES = 80 * 1024 * 1024
"""The size of the object store of a raylet. Frames do not go through it, so that the smallest will do."""

_LOCK = "lock"
_LOG = "keeper.log"


class OwnRay:
    """A Ray cluster of this program on this machine: a head, and a raylet for each place.

    The processes are those of a keeper, which ends them when this program closes it or dies. They bind to the loopback
    address, need the token of the cluster, and have their files in a folder of their own, mode 0700. Nothing that the
    environment says of another cluster counts.

    Attributes:
        address: The address of its head.
        raylets: The process of the raylet of each place.
        head_pid: The process of the raylet of the driver.
        store_pid: The process of the metadata store.
    """

    def __init__(self) -> None:
        self.address = ""
        self.raylets: dict[str, int] = {}
        self.head_pid = 0
        self.store_pid = 0
        self._folder: Path | None = None
        self._keeper: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    @property
    def folder(self) -> Path:
        """The folder of the cluster, as long as it runs."""
        assert self._folder is not None
        return self._folder

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a process belongs to this cluster."""
        return {
            "RAY_TMPDIR": str(self.folder),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            # No record of each call: the metadata store keeps 100,000 of them, for a dashboard that is not there.
            "RAY_task_events_report_interval_ms": "0",
            "RAY_event_stats": "0",  # no statistics of Ray's own event loops, which go into the logs each minute
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's word for: 127.0.0.1 is not the address of the network
            # Without its metadata store a process of Ray exits after a minute. Calls need no store: what runs goes on.
            "RAY_gcs_rpc_server_reconnect_timeout_s": str(10**6),
        }

    async def open(self, places: Mapping[str, Mapping[str, float]]) -> None:
        """Start the cluster, which takes some seconds. Folders that killed programs have left are removed.

        Args:
            places: The resources of each place, by its name.

        Raises:
            ConnectionError: It did not start. The text has the end of Ray's log.
        """
        await asyncio.to_thread(remove_abandoned)
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = os.open(self._folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)  # it lasts as long as the keeper, which inherits it
        token = os.open(self._folder / "token", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(token, "w") as file:
            file.write(secrets.token_hex(32))
        try:
            with (self._folder / _LOG).open("wb") as log:
                self._keeper = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "miniagents.ext.ray.keeper", str(self._folder)),
                    env=self._keeper_environment(),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    pass_fds=(lock,),
                    start_new_session=True,
                )
            os.write(lock, str(self._keeper.pid).encode())  # the id of the session of all of Ray's processes
        finally:
            os.close(lock)
        head = await self._ask(Head(OBJECT_STORE_BYTES))
        self.address, self.head_pid, self.store_pid = head.address, head.pid, head.store_pid
        for place, resources in places.items():
            await self.start(place, resources)

    async def start(self, place: str, resources: Mapping[str, float]) -> None:
        """Start the raylet of a place, or another one where it was lost.

        Raises:
            ConnectionError: It did not start.
        """
        self.raylets[place] = (await self._ask(RayletRequest(place, dict(resources)))).pid

    async def close(self) -> None:
        """End the processes and remove the folder. It is harmless to do that twice."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            assert keeper.stdin is not None
            keeper.stdin.close()
            await keeper.wait()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _ask(self, request: msgspec.Struct) -> Answer:
        keeper = self._keeper
        if keeper is None or keeper.stdin is None or keeper.stdout is None:
            raise ConnectionError("the own Ray cluster has been closed")
        async with self._turn:
            try:
                keeper.stdin.write(msgspec.json.encode(request) + b"\n")
                await keeper.stdin.drain()
                line = await keeper.stdout.readline()
            except ConnectionError:
                line = b""
        if not line:
            raise ConnectionError(f"the Ray cluster has ended: {self._log_end()}")
        answer = msgspec.json.decode(line, type=Answer)
        if answer.error:
            raise ConnectionError(f"Ray did not start: {answer.error}\n{self._log_end()}")
        return answer

    def _log_end(self) -> str:
        try:
            return (self.folder / _LOG).read_text(errors="replace")[-2000:]
        except OSError:
            return "its folder is gone"

    def _keeper_environment(self) -> dict[str, str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        return {**others, **self.environment, "PYTHONPATH": path}


def remove_abandoned() -> None:
    """Remove the files of clusters whose keeper was killed, and what still runs of them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another program removes it, or it belongs to another user
            if folder.stat().st_uid == os.getuid() and not _is_used(folder):
                _kill_members(folder)
                shutil.rmtree(folder, ignore_errors=True)


def _kill_members(folder: Path) -> None:
    """Kill the processes of a cluster without a keeper: some of Ray's wait for long before they miss it."""
    keeper = int((folder / _LOCK).read_text() or 0)
    for process in Path("/proc").glob("[0-9]*"):
        pid = int(process.name)
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if os.getsid(pid) == keeper and str(folder).encode() in told:
                os.kill(pid, signal.SIGKILL)


def _is_used(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime < 60  # its program is about to lock it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
