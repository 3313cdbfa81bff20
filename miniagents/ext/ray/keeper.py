"""The keeper: a process that starts the Ray processes of an own cluster, and ends them with itself.

`OwnRay` starts `python -m miniagents.ext.ray.keeper`. The keeper reads requests as lines of JSON, and answers each with
one. When its input ends, because the driver closed it or was killed, the keeper stops Ray, removes the folder of the
cluster and kills what is left of its process group. Ray's processes end with the keeper, too, if that is killed: the
kernel sends them a signal.
"""

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, TextIO

import msgspec

from miniagents.ext.ray.library import load_ray
from miniagents.ext.ray.requests import LOOPBACK, Answer, Head, RayletRequest

HEALTH = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 4,
}
"""A dead raylet is noticed after 1 to 2 s, a stopped one after 6 s. Ray's defaults take 15 to 45 s."""


class Keeper:
    """The Ray processes of one cluster on this machine.

    Args:
        head: What the cluster is made with.
    """

    def __init__(self, head: Head) -> None:
        load_ray()
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster(shutdown_at_exit=True)
        self._options = {
            "node_ip_address": LOOPBACK,
            "object_store_memory": head.object_store_bytes,
            "include_dashboard": False,
        }
        self._raylets: dict[str, Any] = {}
        self._cluster.add_node(
            wait=False, num_cpus=0, no_monitor=True, include_log_monitor=False, _system_config=HEALTH, **self._options
        )

    def head(self) -> Answer:
        """Return what is known of the head: its address, the processes of its raylet and of its metadata store."""
        node = self._cluster.head_node
        return Answer(address=self._cluster.address, pid=_pid(node, "raylet"), store_pid=_pid(node, "gcs_server"))

    def start(self, request: RayletRequest) -> Answer:
        """Start a raylet. One that was there for the same place is removed with all its processes, dead or not."""
        old = self._raylets.pop(request.place, None)
        if old is not None:
            self._cluster.remove_node(old, allow_graceful=False)
        resources = {name: amount for name, amount in request.resources.items() if name not in ("CPU", "GPU")}
        node = self._cluster.add_node(
            num_cpus=int(request.resources.get("CPU", 1)),
            num_gpus=int(request.resources.get("GPU", 0)),
            resources=resources,
            **self._options,
        )
        self._raylets[request.place] = node
        return Answer(pid=_pid(node, "raylet"))

    def stop(self) -> None:
        """End all processes of Ray."""
        self._cluster.shutdown()


def _pid(node: Any, kind: str) -> int:
    return int(node.all_processes[kind][0].process.pid)


def serve(requests: TextIO, answers: TextIO) -> None:
    """Read requests until there are no more.

    Args:
        requests: Lines of JSON: a `Head`, then any number of `RayletRequest`.
        answers: Gets an `Answer` for each.
    """

    def answer(given: Answer) -> None:
        answers.write(msgspec.json.encode(given).decode() + "\n")
        answers.flush()

    keeper: Keeper | None = None
    try:
        for line in requests:
            try:
                if keeper is None:
                    keeper = Keeper(msgspec.json.decode(line, type=Head))
                    answer(keeper.head())
                else:
                    answer(keeper.start(msgspec.json.decode(line, type=RayletRequest)))
            except Exception as error:
                answer(Answer(error=f"{type(error).__name__}: {error}"))
    finally:
        if keeper is not None:
            keeper.stop()


def main() -> None:
    """Run the keeper of the cluster whose folder is the argument."""
    folder = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the driver's
    try:
        serve(sys.stdin, answers)
    except BrokenPipeError:
        pass  # the driver was killed while it waited
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(0, signal.SIGKILL)  # workers that hang or are stopped; this process leads the group


if __name__ == "__main__":
    main()
