"""Confidence intervals of pass rates."""

import math
from collections.abc import Sequence

_Z = 1.959963984540054
"""The quantile of the normal distribution for 95 %."""


def wilson(passed: float, of: float) -> tuple[float, float]:
    """Return the 95 % interval of a rate: the score interval of E. B. Wilson (1927), "Probable Inference, the Law of
    Succession, and Statistical Inference", Journal of the American Statistical Association 22, 209-212.

    Args:
        passed: The number of trials that passed, 0 to `of`.
        of: The number of trials; with 0 nothing is known, and the interval is 0 to 1.

    Example:
        >>> low, high = wilson(18, 20)
        >>> print(round(low, 3), round(high, 3))
        0.699 0.972
    """
    if of <= 0:
        return 0.0, 1.0
    rate, square = passed / of, _Z * _Z
    middle = (rate + square / (2 * of)) / (1 + square / of)
    half = _Z / (1 + square / of) * math.sqrt(rate * (1 - rate) / of + square / (4 * of * of))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def effective_trials(clusters: Sequence[tuple[int, int]]) -> float:
    """Return the number of independent trials that say as much as trials in clusters do.

    Several attempts at one case resemble each other, and say less about other cases than as many cases would: the
    number of trials is divided by the design effect (L. Kish, Survey Sampling, 1965; for evaluations of models, E.
    Miller, arXiv:2411.00640). Where all have passed, or none has, nothing shows how much they resemble each other:
    then each cluster counts once.

    Args:
        clusters: For each case, how many of its attempts have passed, and how many there were.

    Example:
        >>> effective_trials([(1, 1), (0, 1), (1, 1), (1, 1)])
        4.0
        >>> effective_trials([(5, 5), (0, 5)])
        2.0
    """
    clusters = [(passed, of) for passed, of in clusters if of]
    trials = sum(of for _, of in clusters)
    passes = sum(passed for passed, _ in clusters)
    if passes in (0, trials):
        return float(len(clusters))
    rate = passes / trials
    independent = trials * rate * (1 - rate)
    clustered = sum((passed - of * rate) ** 2 for passed, of in clusters)
    return trials / max(clustered / independent, 1.0)
