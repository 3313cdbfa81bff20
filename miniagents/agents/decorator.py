"""`@miniagent`: agents made of async functions and classes."""

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ParamSpec, Protocol, TypeAlias, overload

from miniagents.actors import Mailbox, RetryPolicy, SpawnOptions
from miniagents.agents.agent import AgentOptions, MiniAgent
from miniagents.errors import InvalidOptionError
from miniagents.supervision import Strategy
from miniagents.supervision.checking import check_count, check_exceptions

P = ParamSpec("P")

_Running: TypeAlias = Coroutine[Any, Any, Any]
_Code: TypeAlias = Callable[..., _Running | Callable[..., _Running]]
"""An async function, or a class with an async `__call__`, as type checkers see it."""


class _Decorator(Protocol[P]):
    """A decorator that is used bare or with options, or called with the code and options."""

    @overload
    def __call__(self, wrapped: _Code, /, *args: P.args, **options: P.kwargs) -> MiniAgent: ...

    @overload
    def __call__(self, *args: P.args, **options: P.kwargs) -> Callable[[_Code], MiniAgent]: ...


def _usable_bare(with_options: Callable[P, Callable[[_Code], MiniAgent]]) -> _Decorator[P]:
    """Let a decorator that takes options be used without them and without parentheses, too."""

    @functools.wraps(with_options)
    def either(*wrapped: object, **options: object) -> Any:
        decorate: Any = with_options
        return decorate(**options)(*wrapped) if wrapped else decorate(**options)

    return either


@_usable_bare
def miniagent(
    *,
    alias: str | None = None,
    description: str | None = None,
    max_concurrency: int | None = None,
    errors: tuple[type[BaseException], ...] = (),
    supervision: Strategy | None = None,
    strategy: Strategy | None = None,
    retry: RetryPolicy | None = None,
    mailbox: Mailbox | None = None,
    handler_timeout: float | None = None,
    poison_after: int | None = None,
    passivate_after: float | None = None,
    durable: bool = False,
    version: str | None = None,
    node: str | None = None,
    non_freezable_kwargs: Mapping[str, Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **arguments: object,
) -> Callable[[_Code], MiniAgent]:
    """Turn an async function, or a class with an async `__call__`, into an agent.

    The calls of a function run concurrently. A class has one instance, which lives across calls and serves them one at
    a time: `__init__(**arguments)` is called once, `__call__(ctx, **arguments)` for each call.

    Decorate a function, with options or without (`@miniagent(alias="Parrot")`, `@miniagent`). Call `miniagent` with a
    class: `cart = miniagent(Cart)`, `cart = miniagent(Cart, durable=True)`. Then the class is still a class, and the
    agent has a name of its own. A class can be decorated, too; but mypy ignores the decorators of classes, and does not
    see that the name stands for an agent.

    Args:
        alias: The name of the agent; by default that of the function or class.
        description: A text about the use of the agent; by default the docstring.
        max_concurrency: The number of calls of a function that run at once, 1 or more; None for no limit. A call runs
            until its function returns: replies that it forwards without `await` count no more.
        errors: Exceptions that are answers to the caller, not crashes.
        supervision: The strategy for restarts of the agent; by default without a limit, with growing backoff.
        strategy: The strategy for the actors that the agent spawns.
        retry: The policy for messages and calls that crashed the agent; None for no second attempt. A call of a
            function runs again unless it has replied something, or has run for longer than `handler_timeout`.
        mailbox: The mailbox; by default unbounded.
        handler_timeout: Seconds that a call may run, more than 0; None for no limit. Replies that it forwards without
            `await` may take longer: give these calls a `timeout`.
        poison_after: With `retry`, the number of crashes after which a message is set aside, even if `retry` allows
            more attempts.
        passivate_after: Seconds without a call after which the agent gives its memory back; None for never. The code
            of a job whose root is such an agent is thrown away after as many seconds in which it only waits, and runs
            again, by replay, when its answer or its time comes.
        durable: Whether the calls of the agent outlive the process. The system needs a journal.
        version: The version of the code of a durable agent: answers of another version are not used. None for a hash of
            the code, its constants and its helpers.
        node: The node on which to place the agent, across machines.
        non_freezable_kwargs: Live arguments, passed as they are.
        kwargs: Arguments whose names the decorator takes for itself.
        **arguments: Arguments, frozen deeply.

    Raises:
        TypeError: The decorated object is no async function and no class with an async `__call__`, or takes no context.
        InvalidOptionError: An option is outside its range.

    Example:
        >>> @miniagent(alias="Parrot", description="Repeats loudly.")
        ... async def parrot(ctx: InteractionContext) -> None:
        ...     async for promise in ctx.message_promises:
        ...         ctx.reply(f"{await promise}!")
        >>> parrot.alias, parrot.description
        ('Parrot', 'Repeats loudly.')
        >>> class Counter:
        ...     def __init__(self, start: int = 0) -> None:
        ...         self.calls = start
        ...     async def __call__(self, ctx: InteractionContext) -> None:
        ...         self.calls += 1
        ...         ctx.reply(f"call {self.calls}")
        >>> counter = miniagent(Counter, start=10)
        >>> async with MiniAgents():
        ...     print(await counter.inquire())
        call 11
    """

    def decorate(target: Any) -> MiniAgent:
        is_class = isinstance(target, type)
        function = getattr(target, "__call__", None) if is_class else target  # noqa: B004 - it is looked at, not called
        if not inspect.iscoroutinefunction(function):
            raise TypeError(
                f"@miniagent is for an async function, or a class with `async def __call__(self, ctx)`, not {target!r}"
            )
        _check_takes_context(target, function)
        if max_concurrency is not None and is_class:
            raise InvalidOptionError(
                f"agent {target.__name__}: max_concurrency= is for functions; an instance of a class serves one call "
                f"at a time"
            )
        check_count(f"agent {target.__name__}: max_concurrency=", max_concurrency, 1, or_none=True)
        check_exceptions(f"agent {target.__name__}: errors=", errors)
        spawn = SpawnOptions(durable=durable).but(
            mailbox=mailbox,
            handler_timeout=handler_timeout,
            poison_after=poison_after,
            retry=retry,
            supervision=supervision,
            strategy=strategy,
            passivate_after=passivate_after,
            node=node,
        )
        agent = MiniAgent(
            target,
            alias=alias,
            description=description,
            options=AgentOptions(errors, max_concurrency, spawn, version),
            arguments={**arguments, **(kwargs or {})},
            live_arguments=non_freezable_kwargs or {},
        )
        agent.check_fork()
        return agent

    return decorate


def _check_takes_context(target: Callable[..., Any], function: Callable[..., Any]) -> None:
    """Check that an agent takes the `InteractionContext` as its first argument.

    Raises:
        TypeError: The agent takes no such argument.
    """
    is_class = isinstance(target, type)
    called = inspect.signature(function, follow_wrapped=False)
    try:
        called.bind_partial(*(("self", "ctx") if is_class else ("ctx",)))
    except TypeError:
        how = "async def __call__(self, ctx)" if is_class else f"async def {target.__name__}(ctx)"
        raise TypeError(
            f"agent {target.__name__}: takes no context: its first parameter is the InteractionContext; write "
            f"`{how}`, not {called}"
        ) from None
