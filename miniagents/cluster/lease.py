"""Leases: how a node that nobody hears of any more stops itself before it is replaced.

The driver grants the lease, the node holds it. Their clocks need not agree. A grant is a time on the clock of the node:
the time that the node has last told, and the length of the lease. The driver heard of that time after it had been read,
so on its own clock the lease is over at the latest when that length has passed since it heard. A grant that is delayed
on its way gives nothing away. So a lease, and a margin for clocks that drift, after the last answer that a grant was
made of, the node has stopped, whatever happens between the two.
"""


class Lease:
    """The lease of one node, as the node holds it. One that has lapsed stays so: the node is fenced.

    Args:
        until: The time on the clock of the node at which it lapses.

    Example:
        >>> lease = Lease(until=5.0)
        >>> lease.extend(8.0, now=4.0)
        >>> lease.has_lapsed(now=7.9), lease.has_lapsed(now=8.0)
        (False, True)
        >>> lease.extend(20.0, now=9.0)
        >>> lease.has_lapsed(now=9.0)
        True
    """

    __slots__ = ("_is_over", "_until")

    def __init__(self, until: float) -> None:
        self._until = until
        self._is_over = False

    def has_lapsed(self, now: float) -> bool:
        """Return True if the node must not do anything any more."""
        if now >= self._until:
            self._is_over = True
        return self._is_over

    def extend(self, until: float, now: float) -> None:
        """Take a grant, unless the lease has lapsed. An older grant changes nothing."""
        if not self.has_lapsed(now):
            self._until = max(self._until, until)

    def left(self, now: float) -> float:
        """Return the seconds until the lease lapses, 0 for one that has."""
        return 0.0 if self.has_lapsed(now) else self._until - now


class Grants:
    """The lease of one node, as the driver grants it.

    Args:
        lease: The length in seconds.
        margin: Seconds beyond the lease after which the node may be replaced.
        now: The time on the clock of the driver, at which the node held its first lease at the latest.
    """

    __slots__ = ("_lease", "_margin", "_valid_from", "heard_at", "node_clock")

    def __init__(self, lease: float, margin: float, now: float) -> None:
        self._lease = lease
        self._margin = margin
        self._valid_from = now
        self.heard_at = now
        self.node_clock: float | None = None

    def grant(self) -> float | None:
        """Return the next grant, on the clock of the node; None as long as that clock is not known."""
        if self.node_clock is None:
            return None
        self._valid_from = self.heard_at
        return self.node_clock + self._lease

    def heard(self, node_clock: float, now: float) -> None:
        """The node has answered.

        Args:
            node_clock: The time on its clock when it did.
            now: The time on the clock of the driver.
        """
        if self.node_clock is None or node_clock > self.node_clock:
            self.node_clock = node_clock
            self.heard_at = now

    @property
    def fenced_at(self) -> float:
        """The time on the clock of the driver from which on the node has surely stopped, if nothing is granted."""
        return self._valid_from + self._lease + self._margin
