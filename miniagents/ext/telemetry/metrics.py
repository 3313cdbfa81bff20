"""The metrics. They read the counters of the runtime at each collection, so that a message costs nothing more."""

import threading
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from miniagents.actors import ActorSystem
from miniagents.actors.cells.cell import Cell

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
AGENT_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
TOKENS = tuple(4**power for power in range(14))
"""The buckets of the GenAI conventions."""

_KIND = "miniagents.actor.type"
_OF_ACTORS = (
    "miniagents.actors",
    "miniagents.actor.restarts",
    "miniagents.messages.handled",
    "miniagents.mailbox.depth",
)
_COUNTERS = ("miniagents.actor.restarts", "miniagents.messages.handled", "miniagents.dead_letters")
_Counts = Counter[tuple[str, str, str]]
"""Counts by metric, name of the attribute and value of the attribute."""


class Instruments:
    """The metrics of one meter, for several systems.

    Args:
        meter: The meter that creates the instruments.
    """

    def __init__(self, meter: Meter) -> None:
        def histogram(name: str, unit: str, description: str, buckets: tuple[float, ...]) -> metrics.Histogram:
            return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=buckets)

        self.agent_seconds = histogram(
            "gen_ai.invoke_agent.duration", "s", "From the call of an agent to the end of its replies.", AGENT_SECONDS
        )
        self.model_seconds = histogram("gen_ai.client.operation.duration", "s", "GenAI operation duration.", SECONDS)
        self.tool_seconds = histogram("gen_ai.execute_tool.duration", "s", "The duration of a tool call.", SECONDS)
        self.first_seconds = histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "Time to the first chunk of a streamed answer.", SECONDS
        )
        self.tokens = histogram(
            "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.", TOKENS
        )
        self._systems: weakref.WeakSet[ActorSystem] = weakref.WeakSet()
        self._ended: _Counts = Counter()  # the counts of actors and systems that have ended: counters never go back
        self._counts: _Counts = Counter()
        self._read: set[str] | None = None
        self._lock = threading.Lock()  # metric readers have their own threads
        for name, create, unit, description in (
            ("miniagents.actors", meter.create_observable_up_down_counter, "{actor}", "Actors that are alive."),
            ("miniagents.actor.restarts", meter.create_observable_counter, "{restart}", "Restarts of actors."),
            ("miniagents.messages.handled", meter.create_observable_counter, "{message}", "Messages handled."),
            ("miniagents.mailbox.depth", meter.create_observable_up_down_counter, "{message}", "Messages that wait."),
            ("miniagents.dead_letters", meter.create_observable_counter, "{message}", "Messages that reached nobody."),
            (
                "miniagents.interactions",
                meter.create_observable_up_down_counter,
                "{interaction}",
                "Calls of agents that are under way.",
            ),
        ):
            create(name, [self._reader(name)], unit, description)

    def add(self, system: ActorSystem) -> None:
        """Include a system."""
        self._systems.add(system)

    def remove(self, system: ActorSystem) -> None:
        """Leave a system out from now on; its counts so far stay."""
        self._systems.discard(system)
        for cell in _cells(system):
            self.actor_ended(cell)
        for reason, number in system.dead_letters.counts.items():
            self._ended["miniagents.dead_letters", "miniagents.reason", reason.value] += number

    def actor_ended(self, cell: Cell) -> None:
        """Keep the counts of an actor that has ended.

        Args:
            cell: The cell of the actor.
        """
        kind = _kind(cell)
        if kind is not None:
            self._ended["miniagents.messages.handled", _KIND, kind] += cell.handled
            self._ended["miniagents.actor.restarts", _KIND, kind] += cell.restarts

    def _reader(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            with self._lock:
                # One walk through the tree serves all metrics of a collection. A second read begins the next one.
                if self._read is None or name in self._read:
                    self._counts, self._read = self._count(), set()
                self._read.add(name)
                counts = self._counts
            return [
                Observation(number, {key: value}) for (which, key, value), number in counts.items() if which == name
            ]

        return read

    def _count(self) -> _Counts:
        """Return the counts now, the ended actors first: one that ends meanwhile must not be counted twice."""
        counts = self._ended.copy()
        for system in tuple(self._systems):
            kinds: dict[str | None, list[int]] = defaultdict(lambda: [0] * len(_OF_ACTORS))
            for cell in _cells(system):
                numbers = kinds[_kind(cell)]
                numbers[0] += 1
                numbers[1] += cell.restarts
                numbers[2] += cell.handled
                queue = cell.queue  # read once: this may be another thread than the loop's
                if queue:
                    numbers[3] += max(len(queue) - cell.dead_entries, 0)
            for kind, numbers in kinds.items():
                if kind is not None:
                    counts.update(
                        {(name, _KIND, kind): number for name, number in zip(_OF_ACTORS, numbers, strict=True)}
                    )
            for reason, number in tuple(system.dead_letters.counts.items()):
                counts["miniagents.dead_letters", "miniagents.reason", reason.value] += number
            for interaction in system.interactions() if hasattr(system, "interactions") else ():
                counts["miniagents.interactions", "gen_ai.agent.name", interaction.agent.alias] += 1
        for key, number in self._counts.items():
            if key[0] in _COUNTERS and counts[key] < number:
                counts[key] = number  # a counter that goes back for a moment would be taken for one that starts anew
        return counts


def _cells(system: ActorSystem) -> list[Cell]:
    # `cells()` copies each dict of children in one step, so that another thread may call it.
    return system.cells() if system.root is not None else []


def _kind(cell: Cell) -> str | None:
    """Return the kind of an actor in metrics: its class, or the alias of its agent. There are too many paths.

    Returns:
        The kind; None for a cell of the runtime itself.
    """
    return cell.type_name or ("Supervisor" if cell.is_supervisor else None)


_global: list[Instruments] = []
_of: "weakref.WeakKeyDictionary[MeterProvider, Instruments]" = weakref.WeakKeyDictionary()


def instruments_of(provider: MeterProvider | None, version: str) -> Instruments:
    """Return the metrics of a provider, made once: OpenTelemetry keeps the callbacks of the first instrument of a name.

    Args:
        provider: The provider; None for the global one.
        version: The version of this package.
    """
    if provider is None or provider is metrics.get_meter_provider():
        if not _global:
            _global.append(Instruments(metrics.get_meter("miniagents", version)))
        return _global[0]
    instruments = _of.get(provider)
    if instruments is None:
        instruments = _of[provider] = Instruments(provider.get_meter("miniagents", version))
    return instruments
