"""The options of `miniagents bench`, and the two kinds of measurement."""

import argparse
import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from miniagents.actors.runner import loop_factory
from miniagents.agents import MiniAgents
from miniagents.cli.bench.load import Load
from miniagents.cli.bench.workloads import WORKLOADS, Took, WorkloadResult
from miniagents.cli.commands import Commands
from miniagents.cli.progress import progress
from miniagents.cli.target import load_agent
from miniagents.errors import InvalidOptionError, MissingDependencyError

_DESCRIPTION = """\
Measure the runtime on this machine, or an agent of your own.

  miniagents bench                              the built-in workloads
  miniagents bench mypackage.agents:writer      calls of one agent: throughput, latencies, errors, memory

Ctrl-C ends it; what was measured so far is shown. How to read the figures: docs/benchmarking.md."""


def add_bench(commands: Commands) -> None:
    """Add the parser of `miniagents bench`."""
    parser = commands.add_parser(
        "bench",
        help="measure the runtime on this machine, or an agent of your own",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_run)
    parser.add_argument("target", nargs="?", metavar="MODULE:AGENT", help="your agent; without it, built-in workloads")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    own = parser.add_argument_group("an agent of your own")
    own.add_argument("--calls", type=int, metavar="N", help="how many calls in all (default: 1000)")
    own.add_argument("--concurrency", type=int, metavar="N", help="how many at a time (default: 10)")
    own.add_argument("--message", metavar="TEXT", help="what each call sends (default: Hello!)")
    own.add_argument("--timeout", type=float, metavar="SECONDS", help="how long a call may take (default: no bound)")
    own.add_argument("--factory", action="store_true", help="MODULE:AGENT is a function whose call gives the agent")
    built_in = parser.add_argument_group("built-in workloads")
    built_in.add_argument("--only", nargs="+", metavar="WORKLOAD", help="these alone; a wrong name lists them")
    built_in.add_argument("--repeats", type=int, metavar="N", help="timed runs of each (default: 5)")
    built_in.add_argument("--quick", action="store_true", help="a tenth of the operations: to see whether it runs")


def _run(args: argparse.Namespace) -> int:
    for library in ("psutil", "rich"):
        try:
            __import__(library)
        except ImportError as error:
            raise MissingDependencyError(f"miniagents bench needs {library}: pip install 'miniagents[cli]'") from error
    if args.json is not None and not args.json.absolute().parent.is_dir():
        raise InvalidOptionError(f"--json {args.json}: there is no such folder")
    wrong = ("only", "repeats", "quick") if args.target else ("calls", "concurrency", "message", "timeout", "factory")
    for name in wrong:
        if getattr(args, name) not in (None, False):
            raise InvalidOptionError(
                f"--{name} is for {'built-in workloads' if args.target else 'an agent'}; see --help"
            )
    return _own_agent(args) if args.target else _built_in(args)


def _own_agent(args: argparse.Namespace) -> int:
    """Measure calls of an agent. The exit status is 1 if no call succeeded."""
    import psutil

    from miniagents.cli.bench.report import show_load, write_json

    process = psutil.Process()
    load = Load(
        load_agent(args.target, factory=args.factory),
        calls=1000 if args.calls is None else args.calls,
        concurrency=10 if args.concurrency is None else args.concurrency,
        message="Hello!" if args.message is None else args.message,
        timeout=args.timeout,
        memory=lambda: process.memory_info().rss,
    )
    interrupted: KeyboardInterrupt | None = None
    with _quiet(), progress(args.target, load.calls) as on_progress:
        try:
            MiniAgents().run(load.run(on_progress))
        except KeyboardInterrupt as error:
            interrupted = error
    result = load.result(args.target)
    show_load(result)
    if args.json is not None:
        write_json(args.json, load=result)
    if interrupted is not None:
        raise interrupted
    return 0 if result.succeeded else 1


def _built_in(args: argparse.Namespace) -> int:
    from miniagents.cli.bench.report import show_workloads, write_json

    names = list(WORKLOADS) if args.only is None else args.only
    for name in names:
        if name not in WORKLOADS:
            raise InvalidOptionError(f"--only {name}: there is no such workload; there are {', '.join(WORKLOADS)}")
    repeats = 5 if args.repeats is None else args.repeats
    if repeats < 1:
        raise InvalidOptionError(f"--repeats must be 1 or more, not {repeats}")
    results: list[WorkloadResult] = []
    interrupted: KeyboardInterrupt | None = None
    with _quiet():
        try:
            for name in names:
                _measure(name, repeats, results, quick=args.quick)
        except KeyboardInterrupt as error:
            interrupted = error
    show_workloads(results)
    if args.json is not None:
        write_json(args.json, workloads=results)
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
