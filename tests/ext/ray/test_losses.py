"""The causes of losses, as Ray tells them. The sentences are those of Ray 2.60."""

import importlib
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'miniagents[ray]'")

import ray.exceptions

from miniagents.cluster.transport import LossCause
from miniagents.ext.ray.losses import cause_of

exceptions: Any = ray.exceptions
protobuf: Any = importlib.import_module("ray.core.generated.common_pb2")

LOW = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node was 1.89GB used / 23.54GB limit"
)


def died(sentence: str) -> BaseException:
    """The error of a call to an actor that has died."""
    error: BaseException = exceptions.ActorDiedError(
        protobuf.ActorDiedErrorContext(error_message=sentence, actor_id=bytes(16))
    )
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (exceptions.OutOfMemoryError(LOW), LossCause.OUT_OF_MEMORY),
        (exceptions.OutOfMemoryError("in other words, one day"), LossCause.OUT_OF_MEMORY),
        (died(f"The actor is dead because all references were removed. {LOW}"), LossCause.OUT_OF_MEMORY),
        (
            died(
                "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit "
                "detail: Worker unexpectedly exits with a connection error code 2. End of file. Some common causes "
                "include: (1) the process was killed by the OOM killer due to high memory usage, (2) ray stop --force "
                "was called, or (3) the worker crashed unexpectedly due to SIGSEGV or another unexpected error."
            ),
            LossCause.KILLED,
        ),
        (
            died(
                "The actor died because its node has died. Node Id: 1f. health check failed due to missing heartbeats"
            ),
            LossCause.SILENT,
        ),
        (died("The actor is dead because it was killed by `ray.kill`."), LossCause.UNKNOWN),
    ],
    ids=["memory", "memory in other words", "memory, told later", "signal", "raylet", "killed by Ray"],
)
def test_the_cause_of_a_loss_is_taken_from_what_ray_reports(error: BaseException, cause: LossCause) -> None:
    assert cause_of(error, exceptions) is cause
