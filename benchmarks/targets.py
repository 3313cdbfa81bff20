"""The targets, and their results."""

import statistics
from dataclasses import dataclass
from typing import Any

from benchmarks.catalog import FLOOR, OLD, OURS, PEERS, WORKLOADS

FASTEST = "the fastest Python peer"
LEANEST = "the leanest of langgraph, openai-agents and pydantic-ai"
LIMIT = "a number"

AWAKEN, PROTOTYPE = "awaken", "the prototype"
PUBLISHED: dict[str, dict[str, float]] = {
    AWAKEN: {"agent_loop": 1000 / 4.4, "loop_mem": 170_000.0},
    PROTOTYPE: {
        "durable_call": 1e6 / 97,
        "durable_call_1000": 1e6 / 53,
        "durable_replay": 1e6 / 206,
        "durable_replay_1000": 1e6 / 206,
        "durable_call_disk": 385.0,
    },
}
"""Published figures, by name and workload, as rates and bytes. They were measured on other machines."""

SOURCES = {
    AWAKEN: "github.com/awakenworks/awaken, an agent runtime in Rust: 4.4 ms and 170 KB of RSS for a run of ten turns "
    "(`runtime_throughput`: ten calls of a tool and a last reply, on a scripted model)",
    PROTOTYPE: "that of the journal: 17 to 53 µs for a call among many, 57 to 97 µs for one after the other, 112 to "
    "206 µs for a replay, 152 to 385 bytes; the largest counts",
}
"""The sources of the published figures: their authors, who measured them."""


@dataclass(frozen=True, slots=True)
class Target:
    """A target.

    Args:
        workload: A key of `WORKLOADS`.
        against: A peer, `FASTEST`, `LEANEST`, a name in `PUBLISHED`, or `LIMIT` for a number.
        factor: The least ratio of the rates; for bytes the largest ratio; with `LIMIT` the largest number, in the unit
            of the workload.
    """

    workload: str
    against: str
    factor: float

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower value is better: of numbers, and of ratios of bytes."""
        return self.against == LIMIT or WORKLOADS[self.workload].lower_is_better


TARGETS = (
    Target("tell", FLOOR, 0.8),
    Target("tell", FASTEST, 3.0),
    Target("ask", FLOOR, 1.0),
    Target("ask", FASTEST, 1.3),
    Target("ask_concurrent", FLOOR, 0.7),
    Target("ask_concurrent", FASTEST, 3.0),
    Target("gather", FLOOR, 0.85),
    Target("ring", FLOOR, 1.0),
    Target("ring", FASTEST, 2.5),
    Target("fanout", FLOOR, 0.7),
    Target("fanout", FASTEST, 3.0),
    Target("spawn", FLOOR, 1.0),
    Target("spawn", FASTEST, 4.0),
    Target("spawn_mem", LIMIT, 1000),
    Target("spawn_mem_million", LIMIT, 1000),
    Target("stream_live", FLOOR, 0.8),
    Target("stream_live", OLD, 8.0),
    Target("stream", FLOOR, 0.4),
    Target("stream", FASTEST, 2.5),
    Target("agent_call", FASTEST, 7.0),
    Target("agent_call_concurrent", FASTEST, 8.0),
    Target("encode", "autogen-core", 9.0),
    Target("decode", "autogen-core", 1.4),
    Target("hash_key", "msgspec", 0.3),
    Target("crash", FLOOR, 0.5),
    Target("recovery", "gen_server", 1.0),
    Target("stop", FASTEST, 1.8),
    Target("ask", "gen_server", 1 / 3),
    Target("spawn", "gen_server", 1 / 3),
    Target("spawn_mem", "gen_server", 1 / 3),
    Target("tell", "torchmonarch", 50.0),
    Target("ask", "torchmonarch", 50.0),
    Target("agent_loop", AWAKEN, 10.0),
    Target("loop_mem", AWAKEN, 0.1),
    Target("model_call", LEANEST, 4.0),
    Target("model_call", LIMIT, 100),
    Target("agent_loop", LIMIT, 1_150),
    Target("token", LIMIT, 2.1),
    Target("token_read", LIMIT, 3.2),
    Target("agent_mem_rest", LIMIT, 3_000),
    Target("loop_mem", LIMIT, 30_000),
    Target("served_stream", "starlette", 0.9),
    Target("served_mem", "starlette", 1.1),
    Target("import", LIMIT, 1.7),
    Target("import_used", LIMIT, 1.7),
    Target("first_call", LIMIT, 20),
    Target("journal_accept_1000", "sqlite", 0.45),
    Target("durable_send_1000", "sqlite", 0.45),
    Target("durable_steps", "dbos", 10.0),
    Target("durable_steps", "langgraph", 10.0),
    Target("durable_steps_100", "dbos", 10.0),
    Target("durable_steps_100", "langgraph", 10.0),
    Target("durable_call", PROTOTYPE, 1.0),
    Target("durable_call_1000", PROTOTYPE, 1.0),
    Target("durable_replay", PROTOTYPE, 1.0),
    Target("durable_replay_1000", PROTOTYPE, 1.0),
    Target("durable_call_disk", PROTOTYPE, 1.0),
    Target("node_tell", "ray", 50.0),
    Target("node_late", LIMIT, 10),
)
"""All targets. That of `model_call` beside other frameworks is "at most a quarter of the overhead", as a ratio of
rates. Those of a token are 0.65 and 0.70 of what it took before, on the machine of RESULTS.md."""

LIMITS: dict[tuple[str, str], str] = {
    ("tell", FASTEST): "pykka's tell is one put into a queue in C; the hand-written task with a deque is itself below "
    "three times that. A fifth of ours is the message: on 3.11 a class with a metaclass in Python is called without "
    "vectorcall (80 of 200 ns; gone in 3.12), and 30 ns freeze its metadata",
    (
        "ask",
        FLOOR,
    ): "the promise (it can be awaited by many, cancelled, timed out, and its failure is never lost) is an "
    "object of two dozen fields in Python, where the floor has a future in C; and the message, as for tell",
    ("ask", FASTEST): "xoscar calls the method in the asker's task under a lock: no mailbox, no promise; the loop does "
    "not turn during its asks, ours lets it turn after a millisecond",
    ("ring", FLOOR): "each hop is a turn of its own: an envelope with sender, correlation and time, a context that is "
    "entered, a coroutine for the turn; the floor has none of them",
    ("ring", FASTEST): "as against the floor, of which thespian has about half",
    ("fanout", FASTEST): "near the target (2.8 to 3.0 in three runs): asks of actors that have one message each, so "
    "that every ask pays for a turn",
    ("stream_live", OLD): "near the target (7.6 to 8.0 in two runs): what is left is mostly the turn of the loop after "
    "each token, which is the workload",
    ("crash", FLOOR): "six steps in the table of lives, a look at the log's level, a fresh instance and its start; the "
    "floor replaces an attribute",
    (
        "spawn",
        FASTEST,
    ): "each actor takes a place in the tree, with an identity, a name and the sums of its branch, and "
    "a supervisor that may restart it",
    (
        "stop",
        FASTEST,
    ): "each end goes through the table of lives, and frees the actor's place in the tree, its name and its sums",
    ("served_stream", "starlette"): "most of the time is the server's on both sides; a request has 400 more calls of "
    "Python, for the checks of host, origin and token, the limits, the deadline, the call of the agent with its "
    "promises, and the task that notices a client that leaves; a token costs the same on both sides",
    ("served_mem", "starlette"): "130 tracked objects where the app by hand has 88: the call, the promises of its "
    "replies and their pieces, the deadline, the position of the reader, and a task that notices a client that leaves",
    (
        "durable_send_1000",
        "sqlite",
    ): "near the target (0.44 to 0.56 in four runs): a quarter of the time is Python's garbage collector, which "
    "looks through 100,000 envelopes that wait; without it the ratio by CPU time is 0.67",
    (
        "durable_steps",
        "dbos",
    ): "near the target (5.6 to 23 in thirteen rounds): a job begins once it is on disk, behind "
    "the sync of the job before it",
    ("durable_steps", "langgraph"): "LangGraph's steps go on while the disk works, too; a step of ours is a call of an "
    "agent, with a row, its input and its reply, 100 µs of Python",
    ("agent_loop", AWAKEN): "it is Python: 91 µs for each request with retries, deadlines, limits, stall detection, "
    "streaming and a tool in a task of its own; no other framework in Python is within eight times of it",
    ("loop_mem", AWAKEN): "the conversation of ten turns as messages with metadata, and the promises that can be "
    "replayed: 32 KB; 0.37 of the leanest other framework",
    ("agent_mem_rest", LIMIT): "3.4 KB of RSS, which are 2.9 KB of objects: half is the fork with its frozen arguments "
    "and the plan of the scripted model, half is the actor",
    ("loop_mem", LIMIT): "32 KB: the 21 messages of ten turns with metadata, each in a promise that can be replayed, "
    "and the interaction that waits",
    (
        "node_tell",
        "ray",
    ): "eight rounds on a machine whose two cores had a load of 17 to 43 from others: ratios from 18 to "
    "128, near the target in the median; the CPU time of the own process is disturbed less",
    ("import_used", LIMIT): "143 modules of the package: half of their time is to find and read them. msgspec, with "
    "decimal, uuid and datetime, is a fifth. A name that needs less of the package loads less",
}
"""The limits of workloads that miss their targets, by workload and `against`. Written by hand, from profiles."""

Rounds = dict[int, float]
"""The values of one peer and workload, by round."""

Samples = dict[str, dict[str, Rounds]]
"""Values by workload and peer."""


def samples_of(rows: list[dict[str, Any]], key: str = "per_s") -> Samples:
    """Return the values of a run.

    Args:
        rows: The rows of results.
        key: The kind of rates: `per_s` by the wall clock, `per_cpu_s` by CPU time.

    Returns:
        The values of the workloads and peers that exist now.
    """
    found: Samples = {workload: {} for workload in WORKLOADS}
    for row in rows:
        value = row.get(key, row.get("bytes", row.get("value")) if key == "per_s" else None)
        if value is not None and row.get("workload") in found and row["peer"] in PEERS:
            found[row["workload"]].setdefault(row["peer"], {})[row["round"]] = value
    return {workload: peers for workload, peers in found.items() if peers}


def ratios(ours: Rounds, other: Rounds) -> list[float]:
    """Return the ratios of the rounds that both have, since a disturbance hits both of a round."""
    return [ours[number] / other[number] for number in sorted(ours.keys() & other.keys()) if other[number]]


def best_peer(peers: dict[str, Rounds], kinds: tuple[str, ...]) -> str | None:
    """Return the fastest peer of some kinds, or None."""
    others = {name: statistics.median(rounds.values()) for name, rounds in peers.items() if PEERS[name].kind in kinds}
    return max(others, key=lambda name: others[name]) if others else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a target.

    Args:
        target: The target.
        other: The name of the compared peer, or None if there was none.
        value: The median of the ratios, or the number; None if nothing was compared.
        cpu: The same by CPU time, or None.
        reached: Whether the target is reached; None if nothing was compared.
    """

    target: Target
    other: str | None
    value: float | None
    cpu: float | None
    reached: bool | None

    @property
    def limit(self) -> str:
        """The known limit of a missed target, or None."""
        return "" if self.reached else LIMITS.get((self.target.workload, self.target.against), "")


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Return the results of all targets, in order."""
    wall, cpu = samples_of(rows), samples_of(rows, "per_cpu_s")
    return [_verdict(target, wall.get(target.workload, {}), cpu.get(target.workload, {})) for target in TARGETS]


def _verdict(target: Target, wall: dict[str, Rounds], cpu: dict[str, Rounds]) -> Verdict:
    other: str | None = target.against
    if target.against == FASTEST:
        other = best_peer(wall, ("library", "agents"))
    elif target.against == LEANEST:
        other = best_peer(wall, ("agents",))
    value = _compared(target, other, wall)
    if value is None:
        return Verdict(target, None, None, None, None)
    reached = value <= target.factor if target.lower_is_better else value >= target.factor
    return Verdict(target, other, value, _compared(target, other, cpu), reached)


def _compared(target: Target, other: str | None, found: dict[str, Rounds]) -> float | None:
    ours = found.get(OURS)
    if ours is None or other is None:
        return None
    if target.against == LIMIT:
        return WORKLOADS[target.workload].as_shown(statistics.median(ours.values()))
    if other in PUBLISHED:
        published = PUBLISHED[other][target.workload]
        return statistics.median(ours.values()) / published
    pairs = ratios(ours, found.get(other, {}))
    return statistics.median(pairs) if pairs else None
