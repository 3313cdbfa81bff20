"""The garbage collector of a process that serves: it rarely looks at the objects of live requests.

Calls and streams leave no reference cycles. So a collection finds next to nothing, and all clients wait for it. It
looks at all young objects, and in a service these are the objects of the live requests.
"""

import asyncio
import gc
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Literal, TypeAlias

from miniagents.errors import InvalidOptionError

Collecting: TypeAlias = Literal["service"]
"""A setting of the garbage collector: "service" for a process that serves."""

_FIRST = 2000
"""The first threshold: 2,000 young objects are looked at in one to two milliseconds."""

_THIRD = 1000
"""The third threshold: a full collection comes after so many of the middle generation, at the earliest."""

_EVERY = 0.1
"""Seconds from one promotion of young objects to the next."""

_SAMPLES = 20
"""The promotions from one sample to the next."""

_WORTH = 20
"""The objects that a collection of young objects must free to be worth its pause."""

_GROWTH = 2_000_000
"""The blocks of memory, about 200 MB, by which a process grows before there is a full collection."""

_GARBAGE = 20_000
"""The objects in cycles that may have been promoted before there is a full collection."""

_FROZEN_BY_PYTHON = 1000
"""The most objects that Python itself has frozen: 375 in 3.12, none in 3.11 and 3.13."""

_HAS_GENERATIONS = sys.version_info < (3, 14) and not sysconfig.get_config_var("Py_GIL_DISABLED")
"""Whether the collector has three generations. That of 3.14, and that of builds without the GIL, is left alone."""

_users = 0
_before: tuple[int, int, int] | None = None


def check_collecting(setting: object) -> None:
    """Check a setting.

    Raises:
        InvalidOptionError: There is no such setting.
    """
    if setting not in (None, "service"):
        raise InvalidOptionError(f"gc= must be 'service' or None, not {setting!r}")


@contextmanager
def collecting(setting: Collecting | None) -> Iterator[None]:
    """Let the collector of this process work as `setting` says inside `with`, and as before afterwards.

    "service" raises the first threshold to 2000, from 700 as a rule, and the third to 1000, from 10. It also promotes
    young objects; see `Promoter`. Where the collector has no generations, nothing is changed (`_HAS_GENERATIONS`).

    Several may be inside at once: the last of them to leave restores the thresholds, unless somebody has set others
    since.

    Args:
        setting: The setting; None to leave the collector alone.

    Raises:
        InvalidOptionError: There is no such setting.
        RuntimeError: There is no running event loop.
    """
    global _users, _before
    check_collecting(setting)
    if setting is None or not _HAS_GENERATIONS:
        yield
        return
    promoter = Promoter(asyncio.get_running_loop())
    _users += 1
    if _users == 1:
        _before = gc.get_threshold()
        gc.set_threshold(*_for_a_service(_before))
    promoter.start()
    try:
        yield
    finally:
        promoter.stop()
        _users -= 1
        if not _users and _before is not None:
            if gc.get_threshold() == _for_a_service(_before):
                gc.set_threshold(*_before)
            _before = None


def _for_a_service(thresholds: tuple[int, int, int]) -> tuple[int, int, int]:
    first, second, third = thresholds
    return max(first, _FIRST), second, max(third, _THIRD)


class Promoter:
    """Promotes young objects to the oldest generation without a look at them, as long as looks are in vain.

    Python counts the objects that are made, less those that are freed, and looks at all young ones when the count
    is at the first threshold. A service frees as many as it makes. The count grows slowly, and the young objects
    are many by then. So they are promoted every tenth of a second, and each time that Python wants to look at them.
    Every two seconds they are looked at nevertheless, as a sample. If that frees 20 objects or more, nothing is
    promoted until a collection frees less.

    Garbage among the promoted objects waits for a full collection. There is one when about 20,000 of them are
    garbage, as far as the samples tell, which see a twentieth of them. There is also one when the process has
    doubled in size since the last, and has grown by about 200 MB. Objects that the application has frozen
    (`gc.freeze`) stay frozen. Nothing is promoted from then on, since Python can only promote by freezing all and
    unfreezing all.

    Args:
        loop: The event loop with the timer.
    """

    __slots__ = (
        "_blocks",
        "_garbage",
        "_has_frozen",
        "_is_in_vain",
        "_is_sampling",
        "_is_skipped",
        "_loop",
        "_ticks",
        "_timer",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._is_in_vain = False
        self._is_sampling = False
        self._is_skipped = False
        self._has_frozen = False
        self._garbage = 0
        self._blocks = sys.getallocatedblocks()

    def start(self) -> None:
        """Promote from now on, until `stop`."""
        gc.callbacks.append(self._collected)
        self._wait()

    def stop(self) -> None:
        """Promote no more."""
        gc.callbacks.remove(self._collected)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        # In a context of its own: that of the caller would live as long as the timer.
        self._timer = self._loop.call_later(_EVERY, self._tick, context=Context())

    def _tick(self) -> None:
        self._wait()
        self._ticks += 1
        if self._ticks % _SAMPLES == 0:
            self._is_sampling = True
            gc.collect(0)
            self._is_sampling = False
            self._collect_if_due()
        elif self._is_in_vain:
            self._promote()

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        """Let a collection of young objects find none, or note how much it has freed: a callback of the collector."""
        if info["generation"] != 0:
            return
        if phase == "start":
            self._is_skipped = self._is_in_vain and not self._is_sampling and self._promote()
        elif not self._is_skipped:
            if self._is_in_vain:
                self._garbage += info["collected"] * _SAMPLES  # what was promoted unseen is like what is seen
            self._is_in_vain = info["collected"] < _WORTH
            if self._is_in_vain:
                self._promote()  # else the collection of the middle generation would look at the survivors again

    def _promote(self) -> bool:
        # The count takes as long as there are frozen objects, milliseconds perhaps: once is enough.
        self._has_frozen = self._has_frozen or gc.get_freeze_count() > _FROZEN_BY_PYTHON
        if self._has_frozen:
            return False
        gc.freeze()
        gc.unfreeze()  # into the oldest generation
        return True

    def _collect_if_due(self) -> None:
        growth = sys.getallocatedblocks() - self._blocks
        if growth > max(self._blocks, _GROWTH) or self._garbage > _GARBAGE:
            gc.collect()
            self._garbage = 0
            self._blocks = sys.getallocatedblocks()
