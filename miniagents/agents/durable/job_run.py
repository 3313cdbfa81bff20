"""`JobRun`: a job in this process, whether its code is in memory or was thrown away while it waits."""

from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from typing import Any

from miniagents.actors.wall_clock import WallTimer
from miniagents.agents.agent import MiniAgent
from miniagents.agents.call_target import CallTarget
from miniagents.agents.durable.interaction import DurableInteraction, DurableReplyPromise
from miniagents.agents.host import AgentHost
from miniagents.agents.interaction import Interaction
from miniagents.messages import FrozenDict


class JobRun:
    """A job in this process.

    Args:
        name: Its name.
        target: The agent that was given to `run_job`.
        arguments: The arguments of the call.
        how: The arguments of `inquire` that say how to wait.
        promise: The promise of the replies.
        input_key: The hash of its input.
        adopts: Whether calls below changed code are adopted.

    Attributes:
        agent: The name of its agent.
        root: The row of the root, 0 as long as it is not known.
        versions: The versions of the agents that are recorded.
        busy: A call of the job that did something when `Resting` looked; None if none did.
        call: The root; None while the job opens, and while it is passive.
        context: The context variables that the code begins with.
        thrown_away: The rows of the calls that were thrown away last, and that no earlier process was killed in.
        timer: The timer of a passive job that is due at some time.
        on_settled: Called with a passive job whose promise has settled.
        on_rest: Called when nothing of the job runs: it has ended, or only waits.
    """

    __slots__ = (
        "adopts",
        "agent",
        "arguments",
        "busy",
        "call",
        "context",
        "how",
        "input_key",
        "name",
        "on_rest",
        "on_settled",
        "promise",
        "root",
        "target",
        "thrown_away",
        "timer",
        "versions",
    )

    def __init__(
        self,
        name: str,
        target: CallTarget,
        arguments: FrozenDict[str, Any],
        how: Mapping[str, Any],
        promise: DurableReplyPromise,
        *,
        adopts: bool,
    ) -> None:
        self.name = name
        self.target = target
        self.arguments = arguments
        self.how = how
        self.promise = promise
        self.adopts = adopts
        self.agent = ""
        self.input_key = b""
        self.root = 0
        self.versions: dict[str, str] = {}
        self.context: Context = copy_context()
        self.call: DurableInteraction | None = None
        self.busy: Interaction | None = None
        self.thrown_away: tuple[int, ...] = ()
        self.timer: WallTimer | None = None
        self.on_rest: Callable[[], None] | None = None
        self.on_settled: Callable[[JobRun], None] | None = None

    def settled(self, _: object) -> None:
        """Tell that the promise of the job has settled while it is passive."""
        if self.on_settled is not None:
            self.on_settled(self)

    def rests(self) -> None:
        """Note that nothing of the job runs."""
        on_rest, self.on_rest = self.on_rest, None
        if on_rest is not None:
            on_rest()


def bound(target: CallTarget, system: AgentHost) -> CallTarget:
    """Return the agent that was given to `run_job`, in a system."""
    return target.bind(system) if isinstance(target, MiniAgent) else target
