"""`InteractionContext`: a call as the agent's code sees it."""

import asyncio
import warnings
from collections.abc import Awaitable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from miniagents.actors import ActorRef, Caller, SpawnOptions
from miniagents.actors.observing.caller import current_caller
from miniagents.actors.observing.request_id import current_request_id
from miniagents.agents.agent import MiniAgent
from miniagents.agents.interaction import Interaction
from miniagents.agents.lasting_context import LastingContext
from miniagents.agents.records import current_interruption
from miniagents.errors import NoActiveSystemError
from miniagents.log import log as _log
from miniagents.messages import MessageSequencePromise, Sendable
from miniagents.promising.failures import log_failure
from miniagents.promising.flow import current_flow
from miniagents.promising.scope import get_scope

if TYPE_CHECKING:
    from miniagents.agents.system import MiniAgents


class InteractionContext(LastingContext):
    """A call as the agent's code sees it, with the messages that came and the way for replies.

    Example:
        >>> @miniagent
        ... async def parrot(ctx):
        ...     async for promise in ctx.message_promises:
        ...         ctx.reply(f"{await promise}!")
        >>> async with MiniAgents():
        ...     print(await parrot.inquire("Hello"))
        Hello!
    """

    __slots__ = ("_interaction",)

    def __init__(self, interaction: Interaction) -> None:
        self._interaction = interaction

    @classmethod
    def get_current(cls) -> "InteractionContext":
        """Return the context of the agent whose code calls this.

        Raises:
            NoActiveSystemError: This is not called by the code of an agent.
        """
        scope = get_scope()
        if not isinstance(scope, Interaction):
            raise NoActiveSystemError("no interaction is active here: this is not the code of an agent")
        context: InteractionContext | None = scope.ctx
        return context if context is not None else cls(scope)

    @property
    def interaction(self) -> Interaction:
        """The call itself, with its id."""
        return self._interaction

    @property
    def message_promises(self) -> MessageSequencePromise:
        """The messages that came with the call, as they come."""
        return self._interaction.message_promises

    @property
    def this_agent(self) -> MiniAgent:
        """The agent that is called."""
        return self._interaction.agent

    @property
    def system(self) -> "MiniAgents":
        """The system that the agent lives in."""
        system: Any = self._interaction.system  # an `AgentHost`, and `MiniAgents` is the only one there is
        return system  # type: ignore[no-any-return]

    miniagents = system

    @property
    def self(self) -> ActorRef:
        """The agent's actor."""
        return self._interaction.cell.ref

    @property
    def sender(self) -> ActorRef | None:
        """The reference of the agent or actor that called; None from outside."""
        return self._interaction.sender

    @property
    def deadline(self) -> float | None:
        """The time on `loop.time()` at which the call must be over, or None."""
        return self._interaction.deadline

    @property
    def caller(self) -> Caller | None:
        """The user on whose behalf the agent is called, however many agents lie in between; None if no user is known.
        In a service it is the owner of the token."""
        context = self._interaction.context
        return context.get(current_caller) if context is not None else current_caller.get()

    @property
    def log(self) -> Any:
        """A structlog logger. It is bound to the path and the interaction, and, where they are known, to `parent` (the
        interaction that made this call), the name of the caller and the id of the request that the call belongs to."""
        context, caller = self._interaction.context, self.caller
        request_id = context.get(current_request_id) if context is not None else current_request_id.get()
        optional = {"caller": caller.name if caller is not None else None, "request_id": request_id}
        fields = {name: value for name, value in optional.items() if value is not None}
        log = _log.bind(**self._interaction.log_fields, **fields)
        return QuietLogger(log, self._interaction) if self._interaction.replaying else log

    @property
    def replaying(self) -> bool:
        """True while the code runs again after a crash, and all that it has asked so far was answered by the journal.

        It turns False with the first call, request or value that the journal does not have.
        """
        return self._interaction.replaying

    @property
    def interrupted(self) -> bool:
        """True if this was started before, in a process that ended before it had a result: the function of a tool, or
        else the code of the agent."""
        return current_interruption.get() or self._interaction.interrupted

    def get_agent_trace(self) -> list[MiniAgent]:
        """Return this agent, the one that called it, and so on, up to 64."""
        return list(self._interaction.agent_trace)

    def reply(self, messages: Sendable, *, out_of_order: bool = False) -> "InteractionContext":
        """Send something to the caller. A promise or an async iterable is flattened in the background, in order.

        If an agent replies much in a loop, it should await each reply: `await ctx.reply(...)` lets other calls run. In
        a service it also waits while the client is behind with reading. That wait ends when the client reads on, when
        somebody else waits for the replies, or when the agent is cancelled.

        Args:
            messages: The messages, in any form that can be sent (`Sendable`).
            out_of_order: Deliver it as it becomes ready, whatever was replied before.

        Raises:
            AppenderClosedError: The replies were closed by `afinish_early`.
            NotSendableError: `messages` cannot be sent.
        """
        self._interaction.reply(messages, out_of_order=out_of_order)
        return self

    def __await__(self) -> Generator[Any, Any, "InteractionContext"]:
        """Wait until the client of a service has read on; see `reply`."""
        return self._room().__await__()

    async def _room(self) -> "InteractionContext":
        await asyncio.sleep(0)
        flow = current_flow.get()
        if flow is not None and flow.is_full:
            await flow.room(self._interaction.replies)
        return self

    def reply_out_of_order(self, messages: Sendable) -> "InteractionContext":
        """Do the same as `reply(messages, out_of_order=True)`."""
        return self.reply(messages, out_of_order=True)

    def make_sure_to_wait(self, awaitable: Awaitable[Any]) -> None:
        """End the call only after `awaitable` has ended.

        A coroutine is started at once. If it fails, the failure is logged, and the call goes on.
        """
        if asyncio.iscoroutine(awaitable):
            coro = awaitable
            awaitable = self._interaction.start_soon(
                _logged(coro, self._interaction.path), on_cancelled=lambda _: coro.close()
            )
        self._interaction.make_sure_to_wait(awaitable)

    async def await_now(self, *, suppress_deadlock_warning: bool = False) -> None:
        """Wait now, and not at the end, for all that was given to `make_sure_to_wait`.

        Args:
            suppress_deadlock_warning: Do not warn when a call of this agent is still open.
        """
        if not suppress_deadlock_warning and self._interaction.open_calls:
            warnings.warn(
                f"{self._interaction.path}: await_now() while a call of this agent is still open; finish() it first, "
                f"or the two may wait for each other",
                RuntimeWarning,
                stacklevel=2,
            )
        await self._interaction.wait_for_the_rest()

    async def afinish_early(self, make_sure_to_wait: bool = True) -> None:
        """Close the replies now. The agent's code may go on.

        Args:
            make_sure_to_wait: Wait first for all that was given to the method of that name.
        """
        if make_sure_to_wait:
            await self.await_now()
        self.close_replies()

    def close_replies(self) -> None:
        """Close the replies without waiting. An error that the code raises later does not reach the caller either."""
        self._interaction.close_replies()

    def _spawn(
        self, actor: object, name: str | None, options: SpawnOptions | None, kwargs: Mapping[str, Any]
    ) -> ActorRef:
        interaction = self._interaction
        cell: Any = interaction.cell  # a cell of the tree, which serves calls
        return interaction.system.spawn_under(cell, actor, name, options, kwargs)


async def _logged(coro: Awaitable[object], path: str) -> None:
    try:
        await coro
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        log_failure("call.side_task_failed", error, actor=path)


class QuietLogger:
    """The logger of a call that runs again. It says nothing as long as the code comes to nothing new, since the first
    run has logged that.

    Args:
        log: The logger.
        interaction: The call.
    """

    def __init__(self, log: Any, interaction: Interaction) -> None:
        self._quiet_log = log
        self._quiet_interaction = interaction

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._quiet_log, name)
        if name in _BINDS:
            return lambda *values, **fields: QuietLogger(attribute(*values, **fields), self._quiet_interaction)
        if not self._quiet_interaction.replaying or not callable(attribute):
            return attribute
        return _awaitable_nothing if name in _AWAITED else _nothing


_AWAITED = frozenset({"adebug", "ainfo", "awarning", "awarn", "aerror", "aexception", "acritical", "afatal", "alog"})

_BINDS = frozenset({"bind", "unbind", "try_unbind", "new"})


def _nothing(*_: object, **__: object) -> None:
    """Log nothing."""


async def _awaitable_nothing(*_: object, **__: object) -> None:
    """Log nothing."""
