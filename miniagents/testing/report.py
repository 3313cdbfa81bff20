"""`Report`: the attempts of an evaluation, and the rates at which they passed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from miniagents.messages import Messages, Sendable
from miniagents.testing.intervals import effective_trials, wilson

PASSING = 0.5
"""The score from which on an attempt passes a check that gives a number."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case of an evaluation.

    Attributes:
        input: The messages for the agent, in any form that can be sent.
        expected: What the checks compare with, of any type.
        name: The name in the report; None for the number of the case, from 1.

    Example:
        >>> Case("1 + 2?", expected="3", name="sum").expected
        '3'
    """

    input: Sendable
    expected: Any = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of an agent at a case.

    Attributes:
        case: The name of the case.
        number: The number of the attempt at this case, from 1.
        replies: The replies; None if the agent has failed.
        scores: What the checks gave, by their names: 0.0 to 1.0, where False is 0.0 and True is 1.0.
        error: The text of the error that the agent failed with, or None.
        check_errors: The texts of the errors of checks, by their names. Such a check counts as not passed.
        was_run: Whether the agent has run; False where a budget did not let it. It counts in no rate then.
        seconds: The time that the agent took.
        tokens: The tokens that models have used, below the agent, too.

    Example:
        >>> Attempt("sum", 1, scores={"exact": 1.0, "near": 0.4}).passed
        False
    """

    case: str
    number: int
    replies: Messages | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    check_errors: Mapping[str, str] = field(default_factory=dict)
    was_run: bool = True
    seconds: float = 0.0
    tokens: int = 0

    @property
    def passed(self) -> bool:
        """True if the agent has run, and all checks have passed."""
        return (
            self.was_run
            and self.error is None
            and not self.check_errors
            and all(score >= PASSING for score in self.scores.values())
        )


@dataclass(frozen=True, slots=True)
class Rate:
    """The rate at which attempts passed.

    Attributes:
        passed: The attempts that passed.
        of: The attempts that were run.
        low: The lower end of the 95 % interval of the rate.
        high: The upper end.
        mean: The mean score.

    Example:
        >>> Rate(passed=9, of=10, low=0.6, high=0.98, mean=0.9).rate
        0.9
    """

    passed: int
    of: int
    low: float
    high: float
    mean: float

    @property
    def rate(self) -> float:
        """The part that passed, 0.0 to 1.0; 0.0 if nothing was run."""
        return self.passed / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """The report of an evaluation; `print(report)` shows its table.

    Attributes:
        attempts: The attempts, in the order of the cases.
        checks: The names of the checks.

    Example:
        >>> attempts = (Attempt("sum", 1, scores={"exact": 1.0}), Attempt("sum", 2, scores={"exact": 0.0}))
        >>> report = Report(attempts, checks=("exact",))
        >>> report.passed, report.rates["exact"].rate
        (False, 0.5)
    """

    attempts: tuple[Attempt, ...]
    checks: tuple[str, ...]

    def __str__(self) -> str:
        return self.table()

    @property
    def passed(self) -> bool:
        """True if there are attempts, and all of them have run and have passed all checks."""
        return bool(self.attempts) and all(attempt.passed for attempt in self.attempts)

    @property
    def rates(self) -> dict[str, Rate]:
        """The rate of each check. The interval is about other cases like these: attempts at one case count together."""
        return {check: _rate(self._by_case().values(), check) for check in self.checks}

    @property
    def cases(self) -> dict[str, Rate]:
        """The rate at which attempts at each case passed all checks. The interval is about other attempts at it."""
        return {name: _rate([[attempt] for attempt in attempts]) for name, attempts in self._by_case().items()}

    @property
    def total(self) -> Rate:
        """The rate at which attempts passed all checks."""
        return _rate(self._by_case().values())

    def table(self) -> str:
        """Return the rates of the checks and of the cases as lines of text, and the errors below them."""
        rows = [("check", "passed", "rate", "95 %", "mean")]
        rows += [_row(name, rate) for name, rate in (*self.rates.items(), ("all checks", self.total))]
        rows += [("", "", "", "", ""), ("case", "passed", "rate", "95 %", "mean")]
        rows += [_row(name, rate) for name, rate in self.cases.items()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(cells)
            )
            for row in rows
            for cells in [list(zip(row, widths, strict=True))]
        ]
        for attempt in self.attempts:
            where = f"{attempt.case}, attempt {attempt.number}"
            if attempt.error is not None:
                lines.append(f"{where}: {'' if attempt.was_run else 'not run: '}{attempt.error}")
            lines += [f"{where}: {check}: {error}" for check, error in attempt.check_errors.items()]
        return "\n".join(line.rstrip() for line in lines)

    def to_json(self) -> str:
        """Return the report as JSON: `passed`, the rates of `checks` and `cases`, and the `attempts` with their texts.

        The inputs and the expected values of the cases are not in it.
        """
        return msgspec.json.encode(
            {
                "passed": self.passed,
                "total": _as_dict(self.total),
                "checks": {name: _as_dict(rate) for name, rate in self.rates.items()},
                "cases": {name: _as_dict(rate) for name, rate in self.cases.items()},
                "attempts": [
                    {
                        "case": attempt.case,
                        "number": attempt.number,
                        "passed": attempt.passed,
                        "replies": [str(reply) for reply in attempt.replies] if attempt.replies is not None else None,
                        "scores": dict(attempt.scores),
                        "error": attempt.error,
                        "check_errors": dict(attempt.check_errors),
                        "was_run": attempt.was_run,
                        "seconds": round(attempt.seconds, 3),
                        "tokens": attempt.tokens,
                    }
                    for attempt in self.attempts
                ],
            }
        ).decode()

    def _by_case(self) -> dict[str, list[Attempt]]:
        cases: dict[str, list[Attempt]] = {}
        for attempt in self.attempts:
            cases.setdefault(attempt.case, []).append(attempt)
        return cases


def _rate(clusters: Iterable[Sequence[Attempt]], check: str | None = None) -> Rate:
    """Return the rate of a check, or of all checks together."""
    counts, scores = [], list[float]()
    for cluster in clusters:
        given = [_score(attempt, check) for attempt in cluster if attempt.was_run]
        counts.append((sum(score >= PASSING for score in given), len(given)))
        scores += given
    passed, of = sum(count for count, _ in counts), sum(count for _, count in counts)
    trials = effective_trials(counts)
    low, high = wilson(passed / of * trials if of else 0.0, trials)
    return Rate(passed, of, low, high, sum(scores) / of if of else 0.0)


def _score(attempt: Attempt, check: str | None) -> float:
    return attempt.scores.get(check, 0.0) if check is not None else float(attempt.passed)


def _row(name: str, rate: Rate) -> tuple[str, str, str, str, str]:
    interval = f"{rate.low:.2f} to {rate.high:.2f}"
    return name, f"{rate.passed}/{rate.of}", f"{rate.rate:.2f}", interval, f"{rate.mean:.2f}"


def _as_dict(rate: Rate) -> dict[str, float]:
    return {
        "passed": rate.passed,
        "of": rate.of,
        "rate": round(rate.rate, 4),
        "low": round(rate.low, 4),
        "high": round(rate.high, 4),
        "mean": round(rate.mean, 4),
    }
