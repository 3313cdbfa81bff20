"""The changes between two results that are more than noise.

Machines differ, and so do their hours: a rate is divided by that of the hand-written task (`raw-deque`) in the same
round of the same run, at the same workload, or at `ask` where it has no such workload. Two sets of rounds differ if a
permutation test says so: of all ways to deal the values out to the two runs, at most one in twenty sets them as far
apart as they are. That takes four rounds on each side; with fewer, chance alone could do it.

Bytes are compared as they are. No other process disturbs them: they differ where their ranges do not overlap.
"""

import itertools
import math
import statistics
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmarks.catalog import FLOOR, OURS, WORKLOADS
from benchmarks.targets import Samples, ratios, samples_of

CHANCE = 0.05
LEAST = 0.03
"""A smaller change is ignored, however certain."""

_ENOUGH = 20_000
"""The most permutations that are tried; further rounds are left out."""


@dataclass(frozen=True)
class Change:
    """The change of one workload.

    Args:
        workload: The name of the workload.
        old: The values before: ratios, or bytes.
        new: The values after.
    """

    workload: str
    old: list[float]
    new: list[float]

    @property
    def factor(self) -> float:
        """The new median divided by the old one: more than 1 is faster, or larger for bytes."""
        return statistics.median(self.new) / statistics.median(self.old)

    @cached_property
    def chance(self) -> float:
        """The probability of such a difference by chance alone, 0 to 1."""
        return chance(self.old, self.new)

    @property
    def real(self) -> bool:
        """Whether the change is more than noise."""
        if abs(self.factor - 1) < LEAST:
            return False
        if WORKLOADS[self.workload].lower_is_better:
            return min(self.new) > max(self.old) or max(self.new) < min(self.old)
        return self.chance <= CHANCE

    @property
    def verdict(self) -> str:
        """The change in one or two words."""
        lower = WORKLOADS[self.workload].lower_is_better
        if self.real and lower:
            return "smaller" if self.factor < 1 else "LARGER"
        if self.real:
            return "faster" if self.factor > 1 else "SLOWER"
        enough = 2 / math.comb(len(self.old) + len(self.new), len(self.old)) <= CHANCE
        return "within noise" if lower or enough else "too few rounds to tell"


def changes(old: dict[str, Any], new: dict[str, Any], peer: str = OURS) -> list[Change]:
    """Return the change of each workload that is in both results.

    Args:
        old: The older results.
        new: The newer results.
        peer: The peer whose figures are compared.
    """
    before, after = samples_of(old["rows"]), samples_of(new["rows"])
    found = []
    for name in WORKLOADS:
        first, second = _comparable(before, name, peer), _comparable(after, name, peer)
        if first and second:
            found.append(Change(name, first, second))
    return found


def _comparable(samples: Samples, name: str, peer: str) -> list[float]:
    rounds = samples.get(name, {}).get(peer)
    if not rounds:
        return []
    if WORKLOADS[name].lower_is_better or peer == FLOOR:
        return list(rounds.values())
    floor = samples[name].get(FLOOR) or samples.get("ask", {}).get(FLOOR)
    return ratios(rounds, floor) if floor else list(rounds.values())


def chance(first: list[float], second: list[float]) -> float:
    """Return the probability that chance alone sets two groups so far apart: an exact permutation test of the means of
    their logarithms."""
    while math.comb(len(first) + len(second), len(first)) > _ENOUGH:
        first, second = (first[:-1], second) if len(first) >= len(second) else (first, second[:-1])
    values = [math.log(value) for value in (*first, *second)]
    total, count = math.fsum(values), len(first)
    others = len(values) - count

    def apart(chosen: tuple[float, ...]) -> float:
        own = math.fsum(chosen)
        return abs(own / count - (total - own) / others)

    seen = apart(tuple(values[:count]))
    dealt = [apart(chosen) for chosen in itertools.combinations(values, count)]
    return sum(one >= seen - 1e-12 for one in dealt) / len(dealt)


def comparison(old: dict[str, Any], new: dict[str, Any], peer: str = OURS) -> str:
    """Return the changes as text, the significant ones first."""
    found = changes(old, new, peer)
    if not found:
        return f"nothing of {peer} is in both"
    lines = [
        f"{change.workload:24} x {change.factor:5.2f}   {change.verdict}"
        for change in sorted(found, key=lambda change: not change.real)
    ]
    real = sum(change.real for change in found)
    rates = sum(not WORKLOADS[change.workload].lower_is_better for change in found)
    lines.append(f"{real} of {len(found)} changed; chance alone changes about {rates * CHANCE:.1f} of {rates} rates")
    lines += [
        f"note: {fact} differs: {old['machine'].get(fact)} and {new['machine'].get(fact)}"
        for fact in ("cpu", "python", "cores")
        if old["machine"].get(fact) != new["machine"].get(fact)
    ]
    return "\n".join(lines)
