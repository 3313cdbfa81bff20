"""`evaluate_agent`: an agent works on the cases of a file or a module, and checks say how well."""

import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from miniagents.agents import MiniAgents
from miniagents.cli.log import log_to_stderr
from miniagents.cli.printing import plain
from miniagents.cli.target import load_agent
from miniagents.errors import InvalidOptionError
from miniagents.ext.command_line import FAILED, carry_out
from miniagents.ext.importing import import_target
from miniagents.messages import Messages
from miniagents.testing import Case, evaluate
from miniagents.testing.evaluating import Check


class _CaseLine(msgspec.Struct, forbid_unknown_fields=True):
    """A line of a file of cases."""

    input: str | dict[str, Any] | list[str]
    expected: Any = None
    name: str | None = None


def exact(case: Case, replies: Messages) -> bool:
    """Check that the text of the replies is what the case expects."""
    return str(replies).strip() == str(case.expected).strip()


def contains(case: Case, replies: Messages) -> bool:
    """Check that the text of the replies contains what the case expects, in whatever case of letters."""
    return str(case.expected).lower() in str(replies).lower()


BUILT_IN: dict[str, Check] = {"exact": exact, "contains": contains}


def evaluate_agent(
    target: str,
    cases: str,
    checks: Sequence[str],
    repeat: int,
    concurrency: int,
    timeout: float | None,
    factory: bool,
    settings: dict[str, Any],
) -> int:
    """Evaluate an agent, and print the report.

    Args:
        target: The agent, as `module:agent`.
        cases: A file with a JSON object in each line, or a list of `Case`s as `module:name`.
        checks: The names of the checks: "exact", "contains", or functions as `module:function`.
        repeat: Attempts at each case.
        concurrency: The most attempts at once.
        timeout: Seconds that one call may take; None for no limit.
        factory: Whether `target` is a function whose call gives the agent.
        settings: Options of the system.

    Returns:
        The exit status: 0 if all attempts have passed all checks, and 1 otherwise.

    Raises:
        InvalidOptionError: An argument is wrong.
    """
    if timeout is not None and not timeout > 0:
        raise InvalidOptionError(f"--timeout must be more than 0 seconds, not {timeout}")
    has_passed = False

    def do() -> Any:
        nonlocal has_passed
        with contextlib.redirect_stdout(sys.stderr):  # what the program prints is no result
            agent = load_agent(target, factory=factory)
            log_to_stderr()
            work = evaluate(
                agent,
                _cases(cases),
                [_check(name) for name in checks],
                repeat=repeat,
                concurrency=concurrency,
                timeout=timeout,
            )
            report = MiniAgents(**settings).run(work)
        has_passed = report.passed
        return json.loads(report.to_json()) | {"table": report.table()}

    def show(result: Any) -> str:
        return "\n".join(_line(line) for line in result["table"].splitlines())

    return carry_out(do, show) or (0 if has_passed else FAILED)


def _line(line: str) -> str:
    """Return a line of the table without what a terminal would obey; the spaces between its columns stay."""
    return "".join(char if char.isprintable() else plain(char) for char in line)


def _cases(where: str) -> list[Case]:
    if ":" in where and not Path(where).exists():
        found = import_target(where)
        if not isinstance(found, (list, tuple)) or not all(isinstance(case, Case) for case in found):
            raise InvalidOptionError(f"{where!r} is no list of miniagents.testing.Case")
        return list(found)
    try:
        lines = Path(where).read_bytes().splitlines()
    except OSError as error:
        raise InvalidOptionError(f"{where}: the cases cannot be read: {error.strerror}") from error
    cases = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            case = msgspec.json.decode(line, type=_CaseLine)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise InvalidOptionError(f"{where}, line {number}: this is no case: {error}") from error
        cases.append(Case(case.input, case.expected, case.name))
    if not cases:
        raise InvalidOptionError(f"{where} has no cases")
    return cases


def _check(name: str) -> Check:
    if name in BUILT_IN:
        return BUILT_IN[name]
    if ":" not in name:
        raise InvalidOptionError(f"--check {name}: name a function as module:function, or {', '.join(BUILT_IN)}")
    found: Callable[..., Any] = import_target(name)
    if not callable(found):
        raise InvalidOptionError(f"--check {name} is no function, but {found!r}")
    return found
