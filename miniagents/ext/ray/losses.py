"""The causes of the loss of a node, as Ray's errors tell them."""

from typing import Any

from miniagents.cluster.transport import LossCause


def cause_of(error: BaseException, exceptions: Any) -> LossCause:
    """Return the cause of the end of a Ray actor.

    A process that Ray's own memory monitor has killed has an error of its own class. Of all others Ray says no more
    than a sentence. One that the kernel has killed for its memory looks like one that was killed by a signal.

    Args:
        error: The error of a call that was under way.
        exceptions: The module `ray.exceptions`.
    """
    if isinstance(error, exceptions.OutOfMemoryError):
        return LossCause.OUT_OF_MEMORY
    described = str(error)
    if "running low on memory" in described:  # the end of an actor that was known before the call
        return LossCause.OUT_OF_MEMORY
    if "unexpectedly exits with a connection error" in described:
        return LossCause.KILLED
    if "node has died" in described:
        return LossCause.SILENT
    return LossCause.UNKNOWN
