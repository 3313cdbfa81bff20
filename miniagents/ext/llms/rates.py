"""`RateShare`: the share of a rate that the provider's refusals leave."""

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

    This is TCP's additive increase and multiplicative decrease. A provider refuses some requests at any rate: the share
    is halved only when more than two of the requests of the last 10 seconds were refused, and more than chance explains
    when one in ten is. Then the count begins again. All methods take `now`, in seconds, and use no clock.
    """

    __slots__ = ("_grows_from", "_refused", "_requests", "_share", "cut_at")

    def __init__(self) -> None:
        self._share = 1.0
        self.cut_at = -math.inf
        """The time at which the share was last halved."""
        self._grows_from = -math.inf
        self._requests: deque[tuple[float, bool]] = deque()
        self._refused = 0

    def at(self, now: float) -> float:
        """Return the share, more than 0 and at most 1."""
        if self._share >= 1.0:
            return 1.0
        return min(1.0, self._share + _GROWTH * max(now - self._grows_from, 0.0))

    def answered(self, now: float) -> None:
        """Count a request whose answer was no refusal (429)."""
        self._add(now, refused=False)

    def refused(self, now: float) -> bool:
        """Count a refused request (429).

        Returns:
            Whether chance explains the number of refusals.
        """
        self._add(now, refused=True)
        expected = _STRAY * len(self._requests)
        return self._refused <= expected + 2 * math.sqrt(expected)

    def is_due(self) -> bool:
        """Return whether there were 3 refusals or more."""
        return self._refused >= _FEW

    def halve(self, now: float, until: float) -> None:
        """Halve the share, and begin the count again.

        Args:
            now: The time.
            until: The end of a pause that the provider asked for: the share grows again from then on.
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
