"""Calm streams and the garbage collector: `python -m benchmarks.calm`.

Many clients stream chat completions with a pause between the tokens, as models have it, from a service of `agent_app`
and from the same endpoint written by hand: the time to the first token, how late each other token is, the pauses of the
garbage collector (`gc.callbacks` in the process of the server), CPU and memory. Both servers have the same setting of
the collector. Each is a process of its own on the first core, started anew for each round; the clients are one process
on the second core. Rounds are interleaved.

`python -m benchmarks.calm --clients 10000 --pause 2 --tokens 10 --times 1 --rounds 1` has 10,000 live streams.
`DURATION=3600 python -m benchmarks.calm --soak --clients 100 --pause 0.1` reads the memory of the service at least ten
times in an hour, and ends with status 1 unless it is flat: for CI, and for `make soak`.
"""

import argparse
import asyncio
import gc
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.serving import KINDS, Client, Load, agents_app, app_by_hand, divide_cores, load_on, serve, server

_MODULE = "benchmarks.calm"
_LOOKS = 20
"""The readings of the memory in a soak, at least half of that."""

_PART = 120.0
"""The most seconds from one reading to the next."""

_GROWTH = 1.03
"""The most that the memory of a flat service grows, after the first quarter of a soak."""


# In the server


class Pauses:
    """The pauses of the garbage collector since the last note, written to a file when the process gets SIGUSR1.

    They are CPU time: on a busy machine, others' time is no part of them.

    Args:
        file: The file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._began = 0.0
        self._pauses: list[tuple[int, float]] = []
        gc.callbacks.append(self._collected)
        signal.signal(signal.SIGUSR1, self._write)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self._pauses.append((info["generation"], time.thread_time() - self._began))

    def _write(self, *_: object) -> None:
        pauses, self._pauses = self._pauses, []
        written = self._file.with_suffix(".new")
        written.write_text(json.dumps(pauses))
        written.replace(self._file)


# The clients


class _CalmClient(Client):
    """A client that notes how late each token after the first one is."""

    pause: ClassVar[float] = 0.0
    late: ClassVar[list[float]] = []
    _last = 0.0

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if b"token " in data:
            if self._last:
                type(self).late.append(now - self._last - self.pause)
            self._last = now
        if b"[DONE]" in data:
            self._last = 0.0
        super().data_received(data)


@dataclass
class Round:
    """The figures of one round; times in seconds.

    Attributes:
        load: The measurements of the clients.
        late: How late each token after the first one of its stream was.
        pauses: The pauses of the collector, with their generations.
        cpu: CPU time of the server for each stream.
        rss: The memory of the server while the streams lived, in MiB.
    """

    load: Load
    late: list[float]
    pauses: list[tuple[int, float]]
    cpu: float
    rss: float

    def figures(self) -> dict[str, float]:
        """Return what is printed and compared, in milliseconds and MiB."""
        lengths = [length for _, length in self.pauses]
        used = self.cpu * len(self.load.first)
        return {
            "first p50": statistics.median(self.load.first) * 1000,
            "first p99": self.load.p99 * 1000,
            "late p50": statistics.median(self.late) * 1000,
            "late p99": _p99(self.late) * 1000,
            "gc sum": sum(lengths) * 1000,
            "gc max": max(lengths, default=0.0) * 1000,
            "gc full": float(sum(generation == 2 for generation, _ in self.pauses)),
            "gc share, %": sum(lengths) / self.load.seconds * 100,
            "of CPU, %": sum(lengths) / used * 100 if used else 0.0,  # few streams may take no tick of its clock
            "CPU a stream": self.cpu * 1000,
            "MiB": self.rss,
        }


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


@dataclass
class Watch:
    """What is read of the process of the server in the middle of a round.

    Args:
        process: The process.
        file: Where it writes its pauses.
    """

    process: Any
    file: Path
    rss: float = 0.0
    cpu: float = field(default=0.0)

    def begin(self) -> None:
        """The measurement begins: what was collected before does not count."""
        self.pauses()
        self.cpu = self._cpu()

    def _cpu(self) -> float:
        used = self.process.cpu_times()
        return float(used.user + used.system)

    def spent(self) -> float:
        """Return the CPU time since `begin`, in seconds."""
        return self._cpu() - self.cpu

    def look(self) -> None:
        """Note the memory, if it is more than before."""
        self.rss = max(self.rss, self.process.memory_info().rss / 2**20)

    def pauses(self) -> list[tuple[int, float]]:
        """Return the pauses since the last time."""
        self.file.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        while not self.file.exists():
            time.sleep(0.01)
        return [(generation, length) for generation, length in json.loads(self.file.read_text())]


async def _played(port: int, watch: Watch, arguments: argparse.Namespace) -> Load:
    _CalmClient.pause, _CalmClient.late = arguments.pause, []

    def begin() -> None:
        _CalmClient.late.clear()
        watch.begin()

    async def look() -> None:
        while True:
            watch.look()
            await asyncio.sleep(1)

    looking = asyncio.create_task(look())
    try:
        return await load_on(
            port,
            clients=arguments.clients,
            warm=1,
            times=arguments.times,
            tokens=arguments.tokens,
            pause=arguments.pause,
            during=begin,
            client=_CalmClient,
        )
    finally:
        looking.cancel()


def play(kind: str, arguments: argparse.Namespace, cores: tuple[int, int]) -> Round:
    """Play one round against one server."""
    import uvloop

    with (
        tempfile.TemporaryDirectory() as folder,
        server(kind, cores[0], _MODULE, "--gc", arguments.gc, "--notes", f"{folder}/pauses") as (port, process),
    ):
        watch = Watch(process, Path(folder) / "pauses")
        load = uvloop.run(_played(port, watch, arguments))
        if load.broken:
            raise RuntimeError(f"{load.broken} streams of {kind} were broken")
        return Round(load, _CalmClient.late, watch.pauses(), watch.spent() / len(load.first), watch.rss)


def compare(arguments: argparse.Namespace, cores: tuple[int, int]) -> None:
    """Measure both servers, interleaved, and print the medians and the ratios."""
    print(
        f"{arguments.clients} clients, {arguments.times} streams each, {arguments.tokens} tokens a stream, "
        f"{arguments.pause} s between them, gc={arguments.gc}"
    )
    rounds: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for number in range(1, arguments.rounds + 1):
        for kind in KINDS:
            figures = play(kind, arguments, cores).figures()
            rounds[kind].append(figures)
            shown = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
            print(f"round {number}, {kind}: {shown}", flush=True)
    for name in rounds["agents"][0]:
        ours, hand = (statistics.median(figures[name] for figures in rounds[kind]) for kind in KINDS)
        ratios = [a[name] / b[name] for a, b in zip(rounds["agents"], rounds["by hand"], strict=True) if b[name]]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "-"
        print(f"{name:14} agents {ours:9.2f}   by hand {hand:9.2f}   ratio {ratio}")


def soak(arguments: argparse.Namespace, cores: tuple[int, int]) -> bool:
    """Play calm streams for `DURATION` seconds, and print the memory of the service again and again.

    Returns:
        Whether the memory was flat, and no stream was broken.
    """
    import uvloop

    seconds = float(os.environ.get("DURATION", "600"))
    part = min(seconds / _LOOKS, _PART)
    streams = max(round(part / (arguments.tokens * arguments.pause)), 1)
    options = argparse.Namespace(**{**vars(arguments), "times": streams})
    sizes: list[float] = []
    broken = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        server("agents", cores[0], _MODULE, "--gc", arguments.gc, "--notes", f"{folder}/pauses") as (port, process),
    ):
        watch, began = Watch(process, Path(folder) / "pauses"), time.monotonic()
        while time.monotonic() - began < seconds:
            load = uvloop.run(_played(port, watch, options))
            pauses = watch.pauses()
            full = sum(generation == 2 for generation, _ in pauses)
            lengths = [length for _, length in pauses]
            sizes.append(process.memory_info().rss / 2**20)
            broken += load.broken
            print(
                f"{time.monotonic() - began:6.0f} s: {sizes[-1]:.1f} MiB, {len(load.first)} streams, "
                f"broken {load.broken}, first token p99 {load.p99 * 1000:.1f} ms, collections "
                f"{sum(lengths) / load.seconds:.2%} of the time, longest {max(lengths, default=0.0) * 1000:.1f} ms, "
                f"full {full}",
                flush=True,
            )
    flat = is_flat(sizes)
    verdict = "flat" if flat else "NOT FLAT"
    print(f"{verdict}: {sizes[len(sizes) // 4]:.1f} MiB after a quarter of the time, {sizes[-1]:.1f} MiB at the end")
    return flat and not broken


def is_flat(sizes: Sequence[float]) -> bool:
    """Return whether memory has not grown since the first quarter of the readings.

    Args:
        sizes: The readings, in order.

    Example:
        >>> is_flat([40, 50, 50, 51]), is_flat([40, 50, 51, 52])
        (True, False)
    """
    return sizes[-1] <= sizes[len(sizes) // 4] * _GROWTH


def main() -> None:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calm", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--clients", type=int, default=1000, help="clients at once (default: %(default)s)")
    parser.add_argument("--times", type=int, default=7, help="streams of each (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=20, help="tokens of each stream (default: %(default)s)")
    parser.add_argument("--pause", type=float, default=0.4, help="seconds between tokens (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each server (default: %(default)s)")
    parser.add_argument("--gc", choices=("service", "python"), default="service", help="the collector of both servers")
    parser.add_argument(
        "--soak", action="store_true", help="memory over DURATION seconds (environment; 600 by default)"
    )
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--notes", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        Pauses(arguments.notes)
        app = agents_app() if arguments.serve == "agents" else app_by_hand()
        serve(app, gc="service" if arguments.gc == "service" else None)
        return
    cores = divide_cores()
    if arguments.soak:
        sys.exit(0 if soak(arguments, cores) else 1)
    else:
        compare(arguments, cores)


if __name__ == "__main__":
    main()
