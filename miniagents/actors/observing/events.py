"""Events: what happens in a system, as a bounded stream for whoever wants to see it."""

import asyncio
import enum
import time
from collections import deque
from types import TracebackType
from typing import Any, Protocol

import msgspec

from miniagents.actors.observing.caller import current_caller
from miniagents.actors.observing.request_id import current_request_id
from miniagents.errors import DeadlockError
from miniagents.messages import said_by
from miniagents.supervision import StopReason

_KEPT = 10_000


class EventKind(enum.Enum):
    """What happened.

    Example:
        >>> class Faulty(Actor):
        ...     async def receive(self, message, ctx):
        ...         raise ValueError("wrong")
        >>> async with ActorSystem() as system:
        ...     with system.events.subscribe() as events:
        ...         system.spawn(Faulty).tell(TextMessage("hello"))
        ...         async for event in events:
        ...             if event.kind is EventKind.CRASH:
        ...                 print(event.error)
        ...                 break
        wrong
    """

    SPAWN = "spawn"
    """An actor was started for the first time."""
    STOP = "stop"
    """An actor ended, and is not started again."""
    CRASH = "crash"
    """A handler or hook of an actor failed, or a call of an agent."""
    RESTART = "restart"
    """A fresh instance of an actor has started behind its mailbox."""
    ESCALATION = "escalation"
    """An actor or a supervisor needed too many restarts and gave up. Its parent decides what happens."""
    DEAD_LETTER = "dead_letter"
    """A message reached nobody. `detail` is the `DeadLetter`."""
    HANG = "hang"
    """A handler or a call ran for longer than its `handler_timeout`, and is cancelled."""
    DEADLOCK = "deadlock"
    """An await would have closed a cycle of waiting actors, and failed. `ring` is the cycle."""
    INTERACTION_STARTED = "interaction_started"
    """A call of an agent began. `detail` is its id."""
    INTERACTION_ENDED = "interaction_ended"
    """A call of an agent ended. `tokens`, `cost` and `error` are those of the call itself."""
    SLOWED = "slowed"
    """A rate limit was lowered, since a provider asked for it."""
    NODE_UP = "node_up"
    """A node of the cluster has joined. `path` is its name."""
    NODE_LOST = "node_lost"
    """A node of the cluster is lost. `path` is its name, `detail` the cause."""
    OBSERVER_FAILED = "observer_failed"
    """A hook of an observer raised. `detail` is the name of the hook."""


class Event(msgspec.Struct, frozen=True):
    """One thing that happened.

    Attributes:
        kind: What.
        path: The actor that it happened to; "/" for OBSERVER_FAILED.
        at: When, in seconds since the epoch.
        reason: The stop reason, for STOP and RESTART: a `StopReason`, or after a crash `ValueError('what it said')`.
        error: The text of the exception, for CRASH, ESCALATION, DEADLOCK and INTERACTION_ENDED (None where it ended
            well). The event has no exception, since that would keep its frames alive, and all that is in them.
        error_type: The name of the exception's class.
        ring: The paths of those that wait for each other, for DEADLOCK.
        detail: Anything else: a dead letter; the interaction's id, where it happened to one; for SLOWED,
            what is left of the rate; for OBSERVER_FAILED, the name of the hook.
        logged: Whether the runtime has logged it, too.
        tokens: The tokens that an interaction used, for INTERACTION_ENDED: its own model requests, not those of the
            calls below it.
        cost: Their cost, in the currency of the price list.
        caller: The name of the `Caller` on whose behalf it was done, or None.
        request_id: The id of the request that it was done for, or None.
        uid: The number of the actor, which no other actor of its system has had; None if the event is not of an actor.
        restarts: The number of restarts of that actor so far, which tells its instances apart.
        node: The node that it happened on; "" for the only one.
        epoch: The life of that node.
        agent_trace: The names of the agents that the error came through, the one that raised it first; empty for an
            error of no agent.
        parent: For CRASH and HANG of a call: the id of the interaction that made the call, or None.
        label: For CRASH and HANG of a call: its label, or None.
        attempt: For CRASH with a `RetryPolicy`: the number of the attempt that failed, 1 or more; else None.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     with system.events.subscribe() as events:
        ...         await system.spawn(Idle, name="idle").started()
        ...         event = await anext(events)
        >>> event.kind.value, event.path
        ('spawn', '/idle')
    """

    kind: EventKind
    path: str
    at: float
    reason: StopReason | str | None = None
    error: str | None = None
    error_type: str | None = None
    ring: tuple[str, ...] = ()
    detail: Any = None
    logged: bool = False
    tokens: int | None = None
    cost: float | None = None
    caller: str | None = None
    request_id: str | None = None
    uid: int | None = None
    restarts: int | None = None
    node: str = ""
    epoch: int = 0
    agent_trace: tuple[str, ...] = ()
    parent: int | None = None
    label: str | None = None
    attempt: int | None = None


class Happening(Protocol):
    """An actor that something happened to."""

    @property
    def restarts(self) -> int: ...
    @property
    def uid(self) -> int: ...


class HappeningCall(Protocol):
    """A call of an agent that something happened to."""

    @property
    def id(self) -> int: ...
    @property
    def parent_id(self) -> int | None: ...
    @property
    def label(self) -> str | None: ...


class Place(Protocol):
    """The system that things happen in."""

    @property
    def node_epoch(self) -> int: ...
    @property
    def node_name(self) -> str: ...


def _trace_of(error: BaseException) -> tuple[str, ...]:
    """Return the agents that an error came through. They stand in its dict: a property would be code of the user's."""
    trace = getattr(error, "__dict__", {}).get("agent_trace", ())
    return trace if isinstance(trace, tuple) else ()


class Subscription:
    """The events from now on: `async for event in subscription`.

    The last 10,000 that were not read are kept; `missed` counts those that were thrown away.

    Attributes:
        wants_calls: Whether it is told of calls that begin and end. An observer has hooks for these.
        missed: The number of events that were thrown away.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     with system.events.subscribe() as events:
        ...         ref = system.spawn(Idle, name="idle")
        ...         await ref.started()
        ...         reason = await ref.stop()
        ...     print([event.kind.name async for event in events], events.missed)
        ['SPAWN', 'STOP'] 0
    """

    wants_calls = True

    def __init__(self, events: "Events") -> None:
        self._events = events
        self._queue: deque[Event] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._closed = False
        self.missed = 0

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Event:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        return self._queue.popleft()

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """No more events; iteration ends after those that wait."""
        self._closed = True
        self._events.subscribers.pop(self, None)
        self._events.changed()
        self._awake()

    def put(self, event: Event) -> None:
        """One more event."""
        if len(self._queue) >= _KEPT:
            self._queue.popleft()
            self.missed += 1
        self._queue.append(event)
        self._awake()

    def _awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class Events:
    """The events of a system. Free while nobody subscribes.

    Iterating it directly is the same as iterating a fresh `subscribe()`.

    Args:
        place: The system.

    Example:
        >>> class Idle(Actor):
        ...     pass
        >>> async with ActorSystem() as system:
        ...     with system.events.subscribe() as events:
        ...         ref = system.spawn(Idle, name="idle")
        ...         print((await anext(events)).path)
        /idle
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.subscribers: dict[Subscription, None] = {}
        self.wanted = False
        """Whether anybody listens: what costs something to tell need not be worked out for nobody."""
        self.calls_wanted = False
        """Whether anybody listens for calls that begin and end."""

    def subscribe(self) -> Subscription:
        """See every event from now on; close it (or use it as a context manager) when done."""
        subscription = Subscription(self)
        self.attach(subscription)
        return subscription

    def attach(self, subscription: Subscription) -> None:
        """Let a subscription see every event from now on."""
        self.subscribers[subscription] = None
        self.changed()

    def changed(self) -> None:
        """Work out again what is wanted: the subscribers have changed."""
        self.wanted = bool(self.subscribers)
        self.calls_wanted = any(subscriber.wants_calls for subscriber in self.subscribers)

    def __aiter__(self) -> Subscription:
        return self.subscribe()

    def publish(
        self,
        kind: EventKind,
        path: str,
        *,
        reason: StopReason | BaseException | None = None,
        error: BaseException | None = None,
        detail: object = None,
        logged: bool = False,
        tokens: int | None = None,
        cost: float | None = None,
        actor: Happening | None = None,
        call: HappeningCall | None = None,
        attempt: int | None = None,
    ) -> None:
        """Tell the subscribers.

        Args:
            kind: What happened.
            path: To whom.
            reason: A stop reason.
            error: An exception.
            detail: Anything else.
            logged: Whether the runtime has logged it, too.
            tokens: The tokens that were used.
            cost: Their cost.
            actor: The cell of the actor, if it happened to one that lives here.
            call: The call that it happened to, if it happened to one; its id is the detail.
            attempt: The number of the attempt that failed, if there may be more than one.
        """
        if self.subscribers:
            caller = current_caller.get()
            event = Event(
                kind,
                path,
                time.time(),
                # By position, in the order of the fields: to find so many names takes longer than the rest.
                f"{type(reason).__name__}({said_by(reason)!r})" if isinstance(reason, BaseException) else reason,
                None if error is None else said_by(error),
                None if error is None else type(error).__name__,
                error.ring if isinstance(error, DeadlockError) else (),
                detail if call is None else call.id,
                logged,
                tokens,
                cost,
                None if caller is None else caller.name,
                current_request_id.get(),
                None if actor is None else actor.uid,
                None if actor is None else actor.restarts,
                self._place.node_name,
                self._place.node_epoch,
                () if error is None else _trace_of(error),
                None if call is None else call.parent_id,
                None if call is None else call.label,
                attempt,
            )
            for subscriber in tuple(self.subscribers):
                subscriber.put(event)

    def close(self) -> None:
        """The system has ended."""
        for subscriber in tuple(self.subscribers):
            subscriber.close()
