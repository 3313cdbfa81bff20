"""The workloads, the peers, and the environments of the peers."""

from dataclasses import dataclass

OURS, FLOOR, OLD = "miniagents", "raw-deque", "miniagents-0.0.35"


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload.

    Args:
        name: The name on the command line and in results.
        title: The title in the report.
        shown: The unit in the report: "rate" (operations per second), "time" (µs for each), "bytes", "ms" or "ratio".
            Results hold a rate for the first two.
        group: The heading in the report.
        rounds: The most rounds that measure the workload; None for all.
    """

    name: str
    title: str
    shown: str = "rate"
    group: str = "actors"
    rounds: int | None = None

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower value is better: not for rates, which the results hold for times, too."""
        return self.shown not in ("rate", "time")

    @property
    def unit(self) -> str:
        """The unit of the values in the report; "" for rates and ratios."""
        return {"time": "µs", "bytes": "bytes", "ms": "ms"}.get(self.shown, "")

    def as_shown(self, value: float) -> float:
        """Return a value of the results as the report shows it."""
        return 1e6 / value if self.shown == "time" else value


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("tell", "one sender, one actor, until the last message is handled"),
        Workload("ask", "request and reply, one after the other"),
        Workload("ask_concurrent", "1,000 asks in flight over 100 actors"),
        Workload("gather", "1,000 asks of 10 actors at a time, awaited as one"),
        Workload("ring", "one message around 1,000 actors"),
        Workload("fanout", "one asks 1,000 actors and gathers the replies"),
        Workload("spawn", "actors made and started"),
        Workload("stop", "of 100,000 idle actors, until the last has ended"),
        Workload("stream", "tokens to one consumer, flat out"),
        Workload("stream_live", "the same, the loop turns after each token"),
        Workload("stream3", "tokens through three agents, each handles every one"),
        Workload("stream3_live", "the same, the loop turns after each token"),
        Workload("crash", "asks whose handler raises"),
        Workload("recovery", "from a message that crashes to the next answered ask", "time"),
        Workload("agent_call", "one text in, one out", group="agents"),
        Workload("agent_call_concurrent", "1,000 at once", group="agents"),
        Workload("model_call", "an agent that asks a scripted model once", "time", "agents"),
        Workload(
            "agent_loop", "ten turns on a scripted model, each a call of a tool, and the last reply", "time", "agents"
        ),
        Workload("token", "of a scripted model whose reply is awaited", "time", "agents"),
        Workload("token_read", "of a scripted model, each read as it comes", "time", "agents"),
        Workload("served_stream", "chat completions of 20 tokens over HTTP, 1,000 at once", group="agents"),
        Workload("flatten", "messages in nested lists, 100,000 of them", group="messages"),
        Workload("hash_key", "of a message, computed", group="messages"),
        Workload("hash_key_cached", "of a message, asked for again", group="messages"),
        Workload("encode", "a message to bytes", group="messages"),
        Workload("decode", "bytes to a message", group="messages"),
        Workload("journal_accept", "envelopes on disk, one sender", group="journal"),
        Workload("journal_accept_64", "64 senders at once", group="journal"),
        Workload("journal_accept_1000", "1,000 senders at once", group="journal"),
        Workload("journal_recovery", "100,000 envelopes that wait, from open to the last", "time", "journal"),
        Workload("durable_send", "`send` to a durable actor, one sender", group="journal"),
        Workload("durable_send_64", "64 senders at once", group="journal"),
        Workload("durable_send_1000", "1,000 senders at once", group="journal"),
        Workload("memory_send_1000", "the same, to an actor in memory", group="journal"),
        Workload(
            "durable_recovery", "an actor with 100,000 messages on disk, to the first it handles", "time", "journal"
        ),
        Workload("durable_steps", "steps of no work, ten in a job, one job after the other", group="jobs"),
        Workload("durable_steps_100", "100 jobs at once", group="jobs"),
        Workload("durable_call", "what the journal adds to a call, one after the other", "time", "durable"),
        Workload("durable_call_1000", "1,000 at once", "time", "durable"),
        Workload("durable_replay", "a call that is answered from the journal, one after the other", "time", "durable"),
        Workload("durable_replay_1000", "1,000 at once", "time", "durable"),
        Workload("job_wake", "a job that gave its memory back, from the answer to its replies", "time", "durable"),
        Workload("spawn_mem", "of an idle actor, at 100,000", "bytes", "memory", rounds=2),
        Workload("spawn_mem_million", "of an idle actor, at 1,000,000", "bytes", "memory", rounds=1),
        Workload("agent_mem_rest", "of an LLM agent at rest, after its first call", "bytes", "memory", rounds=2),
        Workload("agent_mem_call", "of an LLM agent whose model is thinking", "bytes", "memory", rounds=2),
        Workload(
            "loop_mem", "of a run that waits for its last reply, ten turns behind it", "bytes", "memory", rounds=2
        ),
        Workload("served_mem", "of a live chat completion, at 2,000", "bytes", "memory", rounds=2),
        Workload("durable_call_disk", "of a call in the journal's file", "bytes", "memory", rounds=2),
        Workload("job_mem_wait", "of a job that waits for an answer", "bytes", "memory", rounds=2),
        Workload(
            "job_mem_passive", "of a job that waits and gave its memory back, at 100,000", "bytes", "memory", rounds=1
        ),
        Workload("node_tell", "messages to one actor of another process, until the last is handled", group="nodes"),
        Workload("node_ask", "request and reply, one after the other", "time", "nodes"),
        Workload("node_ask_concurrent", "1,000 asks of one actor in flight", group="nodes"),
        Workload("node_fanout", "one asks 1,000 actors of another process and gathers the replies", group="nodes"),
        Workload("node_stream", "tokens of 50 streams, flat out", group="nodes"),
        Workload(
            "node_late",
            "from the making of a token to its reader, of 50 streams with 50 tokens/s each; the median",
            "ms",
            "nodes",
        ),
        Workload("import", "`import miniagents`, as a multiple of `import asyncio`", "ratio", "start", rounds=1),
        Workload(
            "import_used",
            "`import miniagents; miniagents.MiniAgents`, as a multiple of `import asyncio`",
            "ratio",
            "start",
            rounds=1,
        ),
        Workload(
            "first_call",
            "the longest callback of the loop, from the first call of a provider, by 500 agents at once, to the first "
            "tokens; of three APIs the longest",
            "ms",
            "start",
            rounds=1,
        ),
    )
}
"""The entries by name, in the order of the report."""

GROUPS = {
    "actors": "Actors",
    "agents": "Agents",
    "messages": "Messages",
    "journal": "The journal: SQLite, every envelope synced before its sender goes on",
    "jobs": "Durable jobs: steps recorded in SQLite, synced",
    "durable": "Durable calls and jobs, with the journal on disk",
    "memory": "Bytes, growth of RSS or of a file",
    "nodes": "Actors in another process of this machine, not pinned to one core",
    "start": "The start of a program",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer: a library, or hand-written code, that runs the workloads.

    Args:
        name: The name.
        file: The file in `peers/`.
        environment: A key of `ENVIRONMENTS`.
        arguments: The arguments of its command line.
        kind: "ours", "floor" (hand-written, not a library), "library" (Python), "agents" (a Python library of LLM
            agents) or "reference" (not Python).
        million: Whether it runs the workload with a million actors.
    """

    name: str
    file: str
    environment: str = "ours"
    arguments: tuple[str, ...] = ()
    kind: str = "library"
    million: bool = False


PEERS = {
    peer.name: peer
    for peer in (
        Peer(OURS, "peer_ours.py", kind="ours", million=True),
        Peer(FLOOR, "peer_raw.py", arguments=("--variant", "deque"), kind="floor"),
        Peer("raw-drain", "peer_raw.py", arguments=("--variant", "drain"), kind="floor"),
        Peer("raw-queue", "peer_raw.py", arguments=("--variant", "queue"), kind="floor"),
        Peer("event-loop", "peer_loop.py", kind="floor"),
        Peer("msgspec", "peer_msgspec.py", kind="floor"),
        Peer("starlette", "peer_starlette.py", kind="floor"),
        Peer("sqlite", "peer_sqlite.py", kind="floor"),
        Peer("pykka", "peer_pykka.py", "actors"),
        Peer("thespian", "peer_thespian.py", "actors"),
        Peer("xoscar", "peer_xoscar.py", "actors"),
        Peer("autogen-core", "peer_autogen_core.py", "actors"),
        Peer("torchmonarch", "peer_torchmonarch.py", "torchmonarch"),
        Peer("ray", "peer_ray.py"),
        Peer("dbos", "peer_dbos.py", "dbos"),
        Peer("langgraph", "peer_langgraph.py", "langgraph", kind="agents"),
        Peer("openai-agents", "peer_openai_agents.py", "openai-agents", kind="agents"),
        Peer("pydantic-ai", "peer_pydantic_ai.py", "pydantic-ai", kind="agents"),
        Peer(OLD, "peer_miniagents_0_0_35.py", "old", kind="ours"),
        Peer("gen_server", "peer_erlang.py", "erlang", kind="reference"),
    )
}
"""The entries by name, in the order of the report."""

ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "ours": (),
    "actors": ("uvloop", "msgspec", "pykka==4.5.0", "thespian==4.0.1", "xoscar==0.12.2", "autogen-core==0.7.5"),
    "torchmonarch": ("uvloop", "msgspec", "torchmonarch==0.7.0"),
    "dbos": ("uvloop", "msgspec", "dbos==3.4.0"),
    "langgraph": ("uvloop", "msgspec", "langgraph==1.2.24", "langgraph-checkpoint-sqlite==3.1.2"),
    "openai-agents": ("uvloop", "msgspec", "openai-agents==0.24.0"),
    "pydantic-ai": ("uvloop", "msgspec", "pydantic-ai-slim==2.68.0"),
    "old": ("uvloop", "msgspec", "miniagents==0.0.35"),
    "erlang": (),
}
"""The virtual environments and their packages. An environment without packages is the one that runs the benchmarks."""

COMMANDS = {"erlang": ("erl", "erlc")}
"""The commands that an environment needs; `apt-get install erlang-base` installs these two."""
