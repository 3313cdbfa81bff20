"""Options of an actor: what `spawn`, `fork` and `ChildSpec` take as `options=`, and what is worked out from them."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from miniagents.actors.messaging.mailbox import Mailbox
from miniagents.actors.messaging.placement import Placement
from miniagents.errors import InvalidOptionError
from miniagents.supervision import DEFAULT_SUPERVISION, Backoff, Strategy
from miniagents.supervision.checking import check_count, check_exceptions, check_kind, check_name, check_seconds

UNBOUNDED = Mailbox()

RESERVED_NAMES = frozenset(
    {
        "name",
        "alias",
        "description",
        "options",
        "timeout",
        "label",
        "message_id",
        "start_soon",
        "errors_as_messages",
        "non_freezable_kwargs",
        "kwargs",
    }
)
"""Names that `spawn`, `fork`, `inquire` and `@miniagent` take for themselves. An argument of an actor or an agent that
has such a name is given through `kwargs={...}`."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The rule by which failed work is tried again: how often, and after which pauses.

    In `SpawnOptions(retry=)` the work is a message that crashed its actor: the fresh instance handles the message
    again, unless something was replied. In `retry=` of an LLM agent the work is a request to the provider.

    Args:
        on: The exceptions after which there is another attempt. Other exceptions end the work.
        attempts: The number of attempts in all, 1 or more. None for 6 attempts of a request, and for 3 of a message, or
            as many as `poison_after=` allows.
        backoff: The pauses between attempts. None for 0.5 to 30 s, with jitter, between requests, and for no pause
            before a message, since the restart of the actor has a backoff of its own.
        max_retry_after: The longest pause in seconds, 0 or more, that a provider may ask for (`Retry-After`). If the
            provider asks for a longer one, the request fails at once.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        >>> class Flaky(Actor):
        ...     attempts = 0
        ...     async def receive(self, message, ctx):
        ...         Flaky.attempts += 1
        ...         if Flaky.attempts < 3:
        ...             raise ConnectionError("try again")
        ...         return TextMessage(f"attempt {Flaky.attempts}")
        >>> policy = RetryPolicy(on=(ConnectionError,), attempts=3)
        >>> strategy = OneForOne(max_restarts=None)
        >>> async with ActorSystem() as system:
        ...     ref = system.spawn(Flaky, options=SpawnOptions(retry=policy, supervision=strategy))
        ...     print(await ref.ask(TextMessage("hello")))
        attempt 3
    """

    on: tuple[type[BaseException], ...] = (Exception,)
    attempts: int | None = None
    backoff: Backoff | None = None
    max_retry_after: float = 60.0

    def __post_init__(self) -> None:
        check_exceptions("RetryPolicy(on=)", self.on)
        check_count("RetryPolicy(attempts=)", self.attempts, 1, or_none=True)
        check_kind("RetryPolicy(backoff=)", self.backoff, Backoff, or_none=True)
        check_seconds("RetryPolicy(max_retry_after=)", self.max_retry_after)

    def attempts_of(self, poison_after: int | None, otherwise: int = 3) -> int:
        """Return the number of attempts in all.

        Args:
            poison_after: The option of the actor. If both are given, the smaller number wins.
            otherwise: The number where neither is given.
        """
        limits = [n for n in (self.attempts, poison_after) if n is not None]
        return min(limits, default=otherwise)


@dataclass(frozen=True, slots=True)
class SpawnOptions:
    """The rarer options of an actor.

    Args:
        mailbox: The mailbox; by default unbounded, first in, first out.
        handler_timeout: Seconds that a handler or hook may run, more than 0; longer is a crash. None for no limit.
        poison_after: With `retry=`, the number of crashes, 1 or more, after which a message becomes a dead letter, even
            if the policy has more `attempts`. None for the `attempts` of the policy.
        retry: The policy for messages that crashed the actor; None for no second attempt.
        own_task: Run `on_start`, `receive` and `on_stop` in one task of the actor's own, for task groups that are
            opened in one of them and closed in another.
        supervision: The strategy for the actor's own restarts. When its limit is reached, the actor ends.
        strategy: The strategy for the children that the actor spawns. When its limit is reached, the actor crashes.
        passivate_after: For agents: seconds without a call after which the agent gives its memory back; None for never.
            A job whose root has this gives its memory back after as many seconds in which it only waits.
        durable: Whether the actor or agent outlives the process. The system needs a journal.
        node: In a cluster, the name of the node on which to place the actor; None for the node of its parent, or the
            one that `placement=` chooses.
        placement: In a cluster, the rule by which the node is chosen; None for the node of its parent.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        >>> class Endless(Actor):
        ...     async def receive(self, message, ctx):
        ...         await asyncio.sleep(3600)
        >>> async with ActorSystem() as system:
        ...     ref = system.spawn(Endless, name="endless", options=SpawnOptions(handler_timeout=0.01))
        ...     answer = await ref.ask(TextMessage("hello"))
        Traceback (most recent call last):
        miniagents.errors.HandlerTimeoutError: ...
    """

    mailbox: Mailbox = UNBOUNDED
    handler_timeout: float | None = None
    poison_after: int | None = None
    retry: RetryPolicy | None = None
    own_task: bool = False
    supervision: Strategy | None = None
    strategy: Strategy | None = None
    passivate_after: float | None = None
    durable: bool = False
    node: str | None = None
    placement: Placement | None = None

    def __post_init__(self) -> None:
        check_kind("mailbox=", self.mailbox, Mailbox)
        if self.handler_timeout is not None:
            check_seconds("handler_timeout=", self.handler_timeout, above_zero=True)
        check_count("poison_after=", self.poison_after, 1, or_none=True)
        check_kind("retry=", self.retry, RetryPolicy, or_none=True)
        check_kind("supervision=", self.supervision, Strategy, or_none=True)
        check_kind("strategy=", self.strategy, Strategy, or_none=True)
        if self.passivate_after is not None:
            check_seconds("passivate_after=", self.passivate_after, above_zero=True)
        check_kind("placement=", self.placement, Placement, or_none=True)
        if self.node is not None:
            check_name("node=", self.node)
            if self.placement is not None:
                raise InvalidOptionError(f"node={self.node!r} and placement={self.placement!r}: give one of the two")

    @property
    def is_placed(self) -> bool:
        """True if a cluster is to choose a node for the actor."""
        return self.node is not None or self.placement is not None

    def but(self, **changes: Any) -> "SpawnOptions":
        """Return the options with other values; None leaves a value as it is."""
        known = {f.name for f in fields(self)}
        return replace(self, **{name: value for name, value in changes.items() if name in known and value is not None})


DEFAULT_OPTIONS = SpawnOptions()


class Props:
    """All that one kind of actor needs to be made, worked out once and shared by its actors.

    Args:
        factory: Makes an instance, without arguments.
        options: The options of the actor.
        errors: Exceptions that are answers, not crashes.
        strategy: The strategy for its children, or None for the default.
    """

    __slots__ = ("capacity", "errors", "factory", "handler_timeout", "options", "own_task", "strategy", "supervision")

    def __init__(
        self,
        factory: Callable[..., Any],
        options: SpawnOptions,
        errors: tuple[type[BaseException], ...] = (),
        strategy: Strategy | None = None,
    ) -> None:
        self.factory = factory
        self.options = options
        self.errors = errors
        self.strategy = options.strategy if options.strategy is not None else strategy
        self.supervision = options.supervision if options.supervision is not None else DEFAULT_SUPERVISION
        self.capacity = options.mailbox.capacity
        self.handler_timeout = options.handler_timeout
        self.own_task = options.own_task
