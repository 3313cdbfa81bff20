"""`Actor`, which users subclass, and `ActorContext`, which its hooks get."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from inspect import iscoroutinefunction, signature, unwrap
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from miniagents.actors.cells.absent import cell_of
from miniagents.actors.cells.reply_to import ReplyTo
from miniagents.actors.cells.spawning import Spawner
from miniagents.actors.cells.timers import Timer
from miniagents.actors.messaging.entries import ENVELOPES
from miniagents.actors.messaging.envelope import Envelope
from miniagents.actors.messaging.options import SpawnOptions
from miniagents.actors.messaging.ref import ActorRef
from miniagents.errors import InvalidOptionError, UnhandledMessageError
from miniagents.log import log as _log
from miniagents.messages import Message
from miniagents.supervision import StopReason, Strategy
from miniagents.supervision.checking import check_exceptions, check_kind

if TYPE_CHECKING:
    from miniagents.actors.cells.actor_cell import ActorCell
    from miniagents.actors.system import ActorSystem


T = TypeVar("T")

_HOOKS = {"receive": "message, ctx", "on_start": "ctx", "on_stop": "reason", "on_restart": "reason"}
"""The hooks that the runtime calls, with the arguments that it gives them."""


class Actor:
    """The base of actors: state behind a mailbox, which handles one message at a time.

    Write a subclass, and give the arguments of its constructor to `spawn`.

    Attributes:
        errors: Exceptions that are answers to the asker, not crashes.
        strategy: The strategy for the children that the actor spawns through its context. None for the default: each
            child is restarted alone, without a limit, with growing backoff.
        ctx: The context of the actor; set before `on_start`.

    Example:
        >>> class Counter(Actor):
        ...     def __init__(self):
        ...         self.total = 0
        ...     async def receive(self, message, ctx):
        ...         self.total += int(message.content)
        ...         return TextMessage(str(self.total))
        >>> async with ActorSystem() as system:
        ...     counter = system.spawn(Counter)
        ...     counter.tell(TextMessage("1"))
        ...     print(await counter.ask(TextMessage("2")))
        3
    """

    errors: ClassVar[tuple[type[BaseException], ...]] = ()
    strategy: ClassVar[Any] = None
    ctx: "ActorContext"

    _default_props: ClassVar[Any]  # shared by all actors of this very class that are spawned without options

    def __init_subclass__(cls, **config: Any) -> None:
        """Check what the runtime will call, and look at.

        Raises:
            TypeError: A hook is not async, or does not take what it is called with; the text names it.
            InvalidOptionError: `errors` or `strategy` is of the wrong kind.
        """
        super().__init_subclass__(**config)
        for name, takes in _HOOKS.items():
            function = cls.__dict__.get(name)
            if not isinstance(function, FunctionType):
                continue
            if not iscoroutinefunction(unwrap(function)):
                raise TypeError(
                    f"{cls.__name__}.{name} must be `async def {name}`, without `yield`: the runtime awaits it"
                )
            # That of a decorator's wrapper is what is called, whatever it wraps.
            called = signature(function, follow_wrapped=False)
            try:
                called.bind("self", *takes.split(", "))
            except TypeError:
                raise TypeError(
                    f"{cls.__name__}.{name} must be `async def {name}(self, {takes})`, not {called}"
                ) from None
        check_exceptions(f"{cls.__name__}.errors", cls.errors)
        check_kind(f"{cls.__name__}.strategy", cls.strategy, Strategy, or_none=True)

    async def receive(self, message: Message, ctx: "ActorContext") -> Message | Exception | None:
        """Handle one message.

        A message that no case takes is answered with `ctx.unhandled`, so that nothing is lost in silence:

        ```python
        match message:
            case Add(amount):
                self.total += amount
            case Read():
                return Total(value=self.total)
            case _:
                return ctx.unhandled(message)
        return None
        ```

        Returns:
            The answer to an ask. An exception that is returned is raised at the asker, and the actor lives.

        Raises:
            Exception: The actor has crashed. The exception goes to the asker and to the supervisor, and a fresh
                instance takes the place of this one.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `async def receive(self, message, ctx)`")

    async def on_start(self, ctx: "ActorContext") -> None:
        """Called in every instance before its first message. An exception here is a failed start."""

    async def on_stop(self, reason: StopReason | BaseException) -> None:
        """Called once in every instance whose `on_start` succeeded, also after a crash, as OTP's `terminate/2`.

        An exception here is logged, and the stop reason stays.
        """

    async def on_restart(self, reason: StopReason | BaseException) -> None:
        """Called in the fresh instance, after its `on_start`. An exception here is a crash of the fresh instance."""


class ActorContext(Spawner):
    """The view that an instance of an actor has of itself and of its system.

    Example:
        >>> class Parent(Actor):
        ...     async def on_start(self, ctx):
        ...         self.child = ctx.spawn(Child, name="child")
        ...     async def receive(self, message, ctx):
        ...         return await self.child.ask(message)
        >>> class Child(Actor):
        ...     async def receive(self, message, ctx):
        ...         return TextMessage(f"{ctx.path} was asked by {ctx.sender.path}")
        >>> async with ActorSystem() as system:
        ...     print(await system.spawn(Parent, name="parent").ask(TextMessage("hello")))
        /parent/child was asked by /parent
    """

    __slots__ = ("_cell",)

    def __init__(self, cell: "ActorCell") -> None:
        self._cell = cell

    @property
    def self(self) -> ActorRef:
        """This actor."""
        return self._cell.ref

    @property
    def path(self) -> str:
        """The path of the actor in the tree, `/research/searcher-3`."""
        return self._cell.path

    @property
    def sender(self) -> ActorRef | None:
        """The actor that sent the current message; None if it came from outside."""
        current = self._cell.current
        return current.sender if current.__class__ in ENVELOPES else None

    @property
    def parent(self) -> ActorRef | None:
        """The actor that this one is a child of; None for a top-level actor."""
        parent = self._cell.parent
        return parent.ref if parent is not None and parent.parent is not None else None

    @property
    def children(self) -> tuple[ActorRef, ...]:
        """The children of the actor, in the order of their starts."""
        children = self._cell.children
        return tuple(child.ref for child in children.values()) if children else ()

    @property
    def deadline(self) -> float | None:
        """The deadline of the message in hand, on `loop.time()`."""
        return self._cell.deadline

    @property
    def envelope(self) -> Envelope | None:
        """The envelope of the message in hand."""
        envelope = self._cell.envelope
        if envelope is None:
            return None
        _ = self._cell.correlation_id  # is given out when somebody looks
        return envelope if isinstance(envelope, Envelope) else envelope.envelope

    @property
    def message_id(self) -> str | None:
        """The sender's own id of the message in hand (`message_id=` of `send` and `ask`), or None."""
        cell = self._cell
        return cell.inbox.message_id_of(cell.current) if cell.inbox is not None else None

    def now(self) -> datetime:
        """Return the time of day, in UTC. In tests with virtual time it is that time.

        A durable actor that handles a message again gets the time of then, and not that of the first attempt.

        Example:
            >>> class Clerk(Actor):
            ...     async def receive(self, message, ctx):
            ...         return TextMessage(f"received on {ctx.now():%A}")
            >>> async with ActorSystem() as system:
            ...     answer = await system.spawn(Clerk).ask(TextMessage("an order"))
            >>> str(answer).endswith("day")
            True
        """
        return datetime.fromtimestamp(self._cell.system.wall_clock.time(), UTC)

    @property
    def log(self) -> Any:
        """A structlog logger, bound to the path."""
        return _log.bind(actor=self._cell.path)

    @property
    def system(self) -> "ActorSystem":
        """The system that the actor lives in."""
        return self._cell.system  # type: ignore[return-value]  # a port, for all that is below the system

    def _spawn(
        self, actor: object, name: str | None, options: SpawnOptions | None, kwargs: Mapping[str, Any]
    ) -> ActorRef:
        return self._cell.system.spawn_under(self._cell, actor, name, options, kwargs)

    def stop(self, ref: ActorRef | None = None, *, reason: StopReason = StopReason.NORMAL) -> None:
        """End this actor after the message in hand, or another one.

        Args:
            ref: A child, or any other actor; None for this one.
            reason: NORMAL or SHUTDOWN. To crash, raise an exception instead.
        """
        check_kind(f"{self._cell.path}: stop(ref=)", ref, ActorRef, or_none=True)
        if reason not in (StopReason.NORMAL, StopReason.SHUTDOWN):
            raise InvalidOptionError(
                f"{self._cell.path}: ctx.stop(reason=) is StopReason.NORMAL or StopReason.SHUTDOWN, not {reason!r}; "
                f"raise an exception to crash"
            )
        if ref is None or ref == self._cell.ref:
            self._cell.stop(reason=reason, drain=False, own=True)
        else:
            ref.stop()

    def watch(self, ref: ActorRef) -> None:
        """Have `Terminated` delivered when the actor ends for good, once; never for a restart."""
        check_kind(f"{self._cell.path}: watch(ref=)", ref, ActorRef)
        self._cell.watch(cell_of(ref))

    def unwatch(self, ref: ActorRef) -> None:
        """Stop watching an actor. A `Terminated` that waits in the mailbox is thrown away."""
        check_kind(f"{self._cell.path}: unwatch(ref=)", ref, ActorRef)
        self._cell.unwatch(cell_of(ref))

    def schedule(self, delay: float, message: Message, *, name: str | None = None) -> Timer:
        """Tell this actor `message` in `delay` seconds, unless it restarts or ends before.

        As of a `send`, the mailbox's capacity counts: under BACKPRESSURE the message waits for room.

        The timer of a durable actor is in the journal, by the time of day, and goes on after the death of the process.
        It exists once for each name, so that `on_start` may make it at every start; one with another delay or message
        under the same name replaces the old one. A restart after a crash cancels it all the same, and logs its name:
        keep due times in the snapshot, and make the timers again in `on_start`.

        Args:
            delay: Seconds, 0 or more.
            message: The message.
            name: For a durable actor, the name of the timer; None for one made of message and delay.

        Returns:
            A handle with `cancel()`, which also takes back a message that waits in the mailbox already.

        Raises:
            InvalidOptionError: The delay is out of its range; or there is a name, and the actor is not durable. There,
                keep the handle, and cancel it before you make the next one.
            NotSendableError: `message` is no `Message`.
        """
        return self._cell.add_timer(delay, message, name, repeats=False)

    def schedule_every(self, interval: float, message: Message, *, name: str | None = None) -> Timer:
        """Tell this actor `message` every `interval` seconds; of the ticks at most one waits in the mailbox.

        See `schedule` for the timers of a durable actor. Ticks that were missed while the process was down come as one.
        """
        return self._cell.add_timer(interval, message, name, repeats=True)

    def schedule_cron(
        self, rule: str, message: Message, *, zone: str = "UTC", name: str | None = None, max_late: float | None = None
    ) -> Timer:
        """Tell this durable actor `message` at times of day.

        A rule with fixed hours that is skipped in spring comes at the jump of the clock, and one that comes twice in
        autumn comes the first time. A rule with a wildcard hour follows the time that has passed. Ticks that were
        missed while the process was down come as one, and none comes while the last one waits or runs.

        Args:
            rule: The five fields of cron: minute, hour, day of the month, month, day of the week.
            message: The message.
            zone: The name of the time zone.
            name: The name of the timer, once for each actor; None for one made of message and rule. Another rule under
                the same name replaces the old one.
            max_late: How many seconds late a missed tick may come, 0 or more; None for one period.

        Returns:
            A handle with `cancel()`.

        Raises:
            InvalidOptionError: The actor is not durable, the rule is none, or the zone is not known.
            MissingDependencyError: `miniagents[journal]` is not installed.
        """
        return self._cell.add_cron(rule, message, zone, name, max_late)

    def reply(self, answer: Message | BaseException | None) -> None:
        """Answer the message in hand now, before the handler returns; the return value is then ignored.

        A second reply is a dead letter.
        """
        self._cell.reply(answer)

    def unhandled(self, message: Message) -> UnhandledMessageError | None:
        """Say that no case took the message in hand: `case _: return ctx.unhandled(message)`.

        An asker gets an `UnhandledMessageError`; a message that was told is a dead letter (UNHANDLED). A `Terminated`
        that nobody is interested in is neither.

        Returns:
            The error that the asker gets; None for a message that was told.
        """
        return self._cell.unhandled(message)

    def reply_later(self) -> ReplyTo:
        """Promise the answer to the message in hand for later: the return value of the handler is ignored."""
        return self._cell.reply_later()

    def create_task(self, coro: Coroutine[Any, Any, T], *, name: str | None = None) -> "asyncio.Task[T]":
        """Run a coroutine beside the handlers. It is cancelled when this instance ends."""
        return self._cell.create_task(coro, name)

    def pipe_to_self(self, awaitable: Awaitable[T], wrap: Callable[[T | BaseException], Message]) -> None:
        """Await something beside the handlers and tell this actor the outcome (Akka's `pipeToSelf`).

        The outcome counts in the capacity of the mailbox. Where that is full, the outcome waits for room under
        BACKPRESSURE. Under REJECT and DROP_NEWEST it is a dead letter, and under DROP_OLDEST the oldest message is one
        in its place.

        Args:
            awaitable: The awaitable, which is cancelled when this instance ends.
            wrap: A function that makes a message of the result or of the exception. A failure of it is logged.
        """
        self._cell.pipe_to_self(awaitable, wrap)
