"""`measure`: the two kinds of measurement of `miniagents bench`."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from miniagents.actors.runner import loop_factory
from miniagents.agents import MiniAgents
from miniagents.cli.bench.load import Load
from miniagents.cli.bench.workloads import WORKLOADS, Took, WorkloadResult
from miniagents.cli.progress import progress
from miniagents.cli.target import load_agent_or_actor
from miniagents.errors import InvalidOptionError, MissingDependencyError


@dataclass(frozen=True)
class Options:
    """The options of `miniagents bench`; None, and False, for those that were not given.

    Attributes:
        target: The agent, as `module:agent`; None for the built-in workloads.
        json: The file for the results.
        calls: The number of calls.
        concurrency: The number of calls at a time.
        message: The message of each call.
        timeout: Seconds that a call may take.
        factory: Whether `target` is a function whose call gives the agent.
        only: The workloads to run.
        repeats: The number of timed runs of each.
        quick: Whether a tenth of the operations is enough.
    """

    target: str | None
    json: Path | None
    calls: int | None
    concurrency: int | None
    message: str | None
    timeout: float | None
    factory: bool
    only: tuple[str, ...]
    repeats: int | None
    quick: bool


def measure(options: Options) -> int:
    """Measure, and print the results.

    Args:
        options: What to measure.

    Returns:
        The exit status.

    Raises:
        MissingDependencyError: The extra `cli` is not installed.
        InvalidOptionError: An option is wrong.
    """
    for library in ("psutil", "rich"):
        try:
            __import__(library)
        except ImportError as error:
            raise MissingDependencyError(f"miniagents bench needs {library}: pip install 'miniagents[cli]'") from error
    if options.json is not None and not options.json.absolute().parent.is_dir():
        raise InvalidOptionError(f"--json {options.json}: there is no such folder")
    wrong = (
        ("only", "repeats", "quick") if options.target else ("calls", "concurrency", "message", "timeout", "factory")
    )
    for name in wrong:
        if getattr(options, name) not in (None, False, ()):
            raise InvalidOptionError(
                f"--{name} is for {'built-in workloads' if options.target else 'an agent'}; see --help"
            )
    return _own_agent(options, options.target) if options.target else _built_in(options)


def _own_agent(options: Options, target: str) -> int:
    """Measure calls of an agent, or asks of an actor. The exit status is 1 if no call succeeded."""
    import psutil

    from miniagents.cli.bench.report import show_load, write_json

    process = psutil.Process()
    load = Load(
        load_agent_or_actor(target, factory=options.factory),
        calls=1000 if options.calls is None else options.calls,
        concurrency=10 if options.concurrency is None else options.concurrency,
        message="Hello!" if options.message is None else options.message,
        timeout=options.timeout,
        memory=lambda: process.memory_info().rss,
    )
    interrupted: KeyboardInterrupt | None = None
    with _quiet(), progress(target, load.calls) as on_progress:
        try:
            MiniAgents().run(load.run(on_progress))
        except KeyboardInterrupt as error:
            interrupted = error
    result = load.result(target)
    show_load(result)
    if options.json is not None:
        write_json(options.json, load=result)
    if interrupted is not None:
        raise interrupted
    return 0 if result.succeeded else 1


def _built_in(options: Options) -> int:
    from miniagents.cli.bench.report import show_workloads, write_json

    names = options.only or tuple(WORKLOADS)
    for name in names:
        if name not in WORKLOADS:
            raise InvalidOptionError(f"--only {name}: there is no such workload; there are {', '.join(WORKLOADS)}")
    repeats = 5 if options.repeats is None else options.repeats
    if repeats < 1:
        raise InvalidOptionError(f"--repeats must be 1 or more, not {repeats}")
    results: list[WorkloadResult] = []
    interrupted: KeyboardInterrupt | None = None
    with _quiet():
        try:
            for name in names:
                _measure(name, repeats, results, quick=options.quick)
        except KeyboardInterrupt as error:
            interrupted = error
    show_workloads(results)
    if options.json is not None:
        write_json(options.json, workloads=results)
    if interrupted is not None:
        raise interrupted
    return 0


def _measure(name: str, repeats: int, results: list[WorkloadResult], *, quick: bool) -> None:
    """Run one workload, and append its result, also if Ctrl-C ends it after some runs."""
    workload = WORKLOADS[name]
    operations = max(1, workload.operations // 10) if quick else workload.operations

    def once(n: int) -> Took:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(workload.run(n))

    runs: list[Took] = []
    try:
        with progress(name, repeats + 1) as on_progress:
            once(max(1, operations // 10))  # the warm-up
            on_progress(1)
            for number in range(repeats):
                runs.append(once(operations))
                on_progress(number + 2)
    finally:
        if runs:
            results.append(WorkloadResult.of(name, workload.what, runs))


@contextmanager
def _quiet() -> Iterator[None]:
    """Turn the log off inside `with`, unless the program has configured structlog: failures are counted instead."""
    if structlog.is_configured():
        yield
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.reset_defaults()
