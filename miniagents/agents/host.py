"""The two sides that a call of an agent depends on: the system that it runs in, and the cell that serves it."""

from collections.abc import Awaitable, Iterator
from typing import Any, Protocol, TypeVar

from miniagents.actors import ActorRef, ActorSystem
from miniagents.actors.waiting.termination import StopRequest
from miniagents.promising import Promise

CallT = TypeVar("CallT", contravariant=True)


class OpenCall(Protocol):
    """An `AgentCall`, as its owner sees it."""

    def finish(self) -> object:
        """Send no more messages."""


class ServingCell(Protocol[CallT]):
    """The cell that serves a call: that of an agent, or that of a pool of agents, which hands the call on to a member.

    Its calls are `Interaction`s, which this module is too low to name.
    """

    is_activated: bool
    """True if the first use of the agent made the cell, so that the next use makes another one when it has ended."""

    is_serial: bool
    """True if the cell serves one call at a time."""

    is_supervisor: bool
    """True if the cell is a pool."""

    stopping: StopRequest | None

    @property
    def agent(self) -> Any:
        """The `MiniAgent` that the cell serves."""

    @property
    def system(self) -> "AgentHost":
        """The system of the cell."""

    @property
    def path(self) -> str:
        """The path of the agent in the tree."""

    @property
    def ref(self) -> ActorRef:
        """The reference of the agent."""

    @property
    def restarts(self) -> int:
        """The number of restarts of the agent so far."""

    @property
    def uid(self) -> int:
        """The number of the agent, which no other actor of the system has had."""

    @property
    def takes_calls(self) -> bool:
        """True if a call that is sent now is still served."""

    def check_ready(self) -> None:
        """Check that a call would be in the mailbox at once; see `CallTarget.check_ready`."""

    def assign(self, interaction: CallT) -> None:
        """Choose the member of a pool that serves a call which is about to begin."""

    def take_call(self, interaction: CallT) -> None:
        """Begin a call: run it, or put it into the mailbox, at once or when there is room."""

    def call(self, interaction: CallT) -> Awaitable[object]:
        """Make the coroutine of the agent's code, for a call that runs on a worker."""

    def ask_expired(self, ask: Any) -> None:
        """Take a call whose deadline has passed out of the mailbox. `ask` is its envelope."""

    def ask_cancelled(self, ask: Any) -> Any:
        """Take a call that was cancelled out of the mailbox. `ask` is its envelope."""

    def interaction_ended(self, interaction: CallT) -> None:
        """Count one call less."""

    def spend(self, call: CallT, tokens: int, cost: float | None) -> None:
        """Count what a model has used for a call; see `Interaction.spend`."""

    def end_unserved(self) -> None:
        """End the instance of a class agent whose code was abandoned."""


class AgentHost(ActorSystem):
    """A system that serves calls of agents, as these see it. `MiniAgents` is the one that programs use.

    A subclass may bring classes of its own for what a call is made of, a journal for example: those are made in place
    of the usual ones, without any cost for a system that brings none.

    Attributes:
        interaction_class: Makes the calls: `Interaction`, or a subclass.
        reply_promise_class: Makes the promises of their replies: `ReplyPromise`, or a subclass.
        context_class: Makes what the code of an agent gets as `ctx`: `InteractionContext`, or a subclass.
        durability: What the calls of a system with a journal share; None without one.
        errors_as_messages: Whether errors of agents arrive as `ErrorMessage`s where a call says nothing else.
        interaction_ids: The numbers of the calls to come.
    """

    _public_name = "MiniAgents"

    interaction_class: type[Any]
    reply_promise_class: type[Any]
    context_class: type[Any]
    durability: Any = None

    @property
    def answers(self) -> Any:
        """What the calls wait for from outside: `Answers` of `miniagents.agents.waiting`."""
        raise NotImplementedError

    errors_as_messages: bool
    interaction_ids: Iterator[int]

    def activated(self, agent: Any) -> ServingCell[Any]:
        """Return the cell that serves the calls of an agent; its first use makes it."""
        raise NotImplementedError

    def keep_lazy(self, replies: Promise[Any]) -> None:
        """Fail replies at the end of the system if nobody has asked for them, so that their call never begins."""
        self.lazy_promises[replies] = None

    def forget_lazy(self, replies: Promise[Any]) -> None:
        """Forget replies whose call begins now."""
        self.lazy_promises.pop(replies, None)

    def interaction_started(self, interaction: Any) -> None:
        """Note that a call is under way."""
        raise NotImplementedError

    def interaction_ended(self, interaction: Any) -> None:
        """Note that a call is over."""
        raise NotImplementedError

    def opened(self, call: OpenCall) -> None:
        """Note an `AgentCall` that was begun outside of agents."""
        raise NotImplementedError

    def closed(self, call: OpenCall) -> None:
        """Note that such an `AgentCall` is finished."""
        raise NotImplementedError
