"""How much of its rate a swarm may use: what the provider's refusals leave of it."""

import math
from collections import deque

_SLOWEST = 1 / 64
_GROWTH = 0.1
_WINDOW = 10.0
_MOST = 1000
_FEW = 3
_STRAY = 0.1


class RateShare:
    """The share of the full rate that may be used: it is halved by refusals, and grows again by a tenth a second.

    Additive increase, multiplicative decrease, as TCP does. A provider whose rate is kept still refuses some requests,
    and these say nothing: the share is halved only when more than two of the last ones were refused, and more than
    chance can explain at one in ten. Then the count begins anew. It takes `now`, in seconds, and touches no clock.
    """

    __slots__ = ("_grows_from", "_refused", "_requests", "_share", "cut_at")

    def __init__(self) -> None:
        self._share = 1.0
        self.cut_at = -math.inf
        """When it was halved the last time."""
        self._grows_from = -math.inf
        self._requests: deque[tuple[float, bool]] = deque()
        self._refused = 0

    def at(self, now: float) -> float:
        """The share, up to 1."""
        if self._share >= 1.0:
            return 1.0
        return min(1.0, self._share + _GROWTH * max(now - self._grows_from, 0.0))

    def answered(self, now: float) -> None:
        """A request was answered, whatever the answer, save that there were too many."""
        self._add(now, refused=False)

    def refused(self, now: float) -> bool:
        """A request was refused: there are too many.

        Returns:
            Whether that is no more than chance explains, at a rate that is kept.
        """
        self._add(now, refused=True)
        expected = _STRAY * len(self._requests)
        return self._refused <= expected + 2 * math.sqrt(expected)

    def is_due(self) -> bool:
        """Whether there were more refusals than a few."""
        return self._refused >= _FEW

    def halve(self, now: float, until: float) -> None:
        """Use half as much, and count anew.

        Args:
            now: The time.
            until: When it begins to grow again: after a pause that the provider asked for.
        """
        self._share = max(self.at(now) / 2, _SLOWEST)
        self.cut_at = now
        self._grows_from = max(now, until)
        self._requests.clear()
        self._refused = 0

    def _add(self, now: float, *, refused: bool) -> None:
        requests = self._requests
        requests.append((now, refused))
        self._refused += refused
        while requests and (requests[0][0] <= now - _WINDOW or len(requests) > _MOST):
            self._refused -= requests.popleft()[1]
