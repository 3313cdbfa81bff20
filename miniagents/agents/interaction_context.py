"""`InteractionContext`: what an agent's code sees of its call."""

import asyncio
import warnings
from collections.abc import Awaitable, Generator, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from miniagents.actors import ActorRef, Caller, SpawnOptions
from miniagents.actors.cells.spawning import Spawner
from miniagents.actors.observing.caller import current_caller
from miniagents.actors.observing.request_id import current_request_id
from miniagents.errors import NoActiveSystemError
from miniagents.messages import MessageSequencePromise, Sendable
from miniagents.promising.failures import log_failure
from miniagents.promising.flow import current_flow
from miniagents.promising.scope import get_scope

if TYPE_CHECKING:
    from miniagents.agents.agent import MiniAgent
    from miniagents.agents.interaction import Interaction
    from miniagents.agents.system import MiniAgents

_log = structlog.get_logger("miniagents")


class InteractionContext(Spawner):
    """What an agent's code sees of its call: the messages that came, and where its replies go."""

    __slots__ = ("_interaction",)

    def __init__(self, interaction: "Interaction") -> None:
        self._interaction = interaction

    @classmethod
    def get_current(cls) -> "InteractionContext":
        """The context of the agent whose code this is.

        Raises:
            NoActiveSystemError: It is no agent's code.
        """
        scope = get_scope()
        if scope is None or not getattr(scope, "is_interaction", False):
            raise NoActiveSystemError("no interaction is active here: this is not the code of an agent")
        interaction: Any = scope
        return interaction.ctx if interaction.ctx is not None else cls(interaction)

    @property
    def interaction(self) -> "Interaction":
        """The call itself, with its id."""
        return self._interaction

    @property
    def message_promises(self) -> MessageSequencePromise:
        """The messages that came with the call, as they come."""
        return self._interaction.message_promises

    @property
    def this_agent(self) -> "MiniAgent":
        """The agent."""
        return self._interaction.agent

    @property
    def system(self) -> "MiniAgents":
        """The system that it lives in."""
        return self._interaction.system

    miniagents = system

    @property
    def self(self) -> ActorRef:
        """The agent's actor."""
        return self._interaction.cell.ref  # type: ignore[no-any-return]

    @property
    def sender(self) -> ActorRef | None:
        """Who called; None from outside."""
        return self._interaction.sender

    @property
    def deadline(self) -> float | None:
        """When the call is to be over, on `loop.time()`, or None."""
        return self._interaction.deadline

    @property
    def caller(self) -> Caller | None:
        """On whose behalf the agent is called, however many agents lie in between: the owner of the token, in a
        service; None where nobody is known."""
        context = self._interaction.context
        return context.get(current_caller) if context is not None else current_caller.get()

    @property
    def log(self) -> Any:
        """A structlog logger, bound to the path, the interaction, and, where they are known, the name of the caller and
        the id of the request that the call belongs to."""
        context, caller = self._interaction.context, self.caller
        request_id = context.get(current_request_id) if context is not None else current_request_id.get()
        known = {"caller": caller.name if caller is not None else None, "request_id": request_id}
        more = {name: value for name, value in known.items() if value is not None}
        return _log.bind(actor=self._interaction.path, interaction=self._interaction.id, **more)

    def get_agent_trace(self) -> "list[MiniAgent]":
        """This agent, the one that called it, and so on, up to 64."""
        return list(self._interaction.agent_trace)

    def reply(self, messages: Sendable, *, out_of_order: bool = False) -> "InteractionContext":
        """Send something to the caller. What must be waited for (a promise, an async iterable) is flattened in the
        background, in order.

        An agent that replies much, in a loop, awaits it: `await ctx.reply(...)` lets others run, and waits while the
        client of a service is behind with reading, unless somebody else waits for the replies. It waits until that
        client reads on, or somebody begins to wait for the replies, or it is cancelled.

        Args:
            messages: Whatever can be sent.
            out_of_order: Deliver it as it becomes ready, whatever was replied before.

        Raises:
            AppenderClosedError: The replies were closed by `afinish_early`.
            NotSendableError: It cannot be sent.
        """
        self._interaction.reply(messages, out_of_order=out_of_order)
        return self

    def __await__(self) -> Generator[Any, Any, "InteractionContext"]:
        """Wait for room; see `reply`."""
        return self._room().__await__()

    async def _room(self) -> "InteractionContext":
        await asyncio.sleep(0)
        flow = current_flow.get()
        if flow is not None and flow.is_full:
            await flow.room(self._interaction.replies)
        return self

    def reply_out_of_order(self, messages: Sendable) -> "InteractionContext":
        """The same as `reply(messages, out_of_order=True)`."""
        return self.reply(messages, out_of_order=True)

    def make_sure_to_wait(self, awaitable: Awaitable[Any]) -> None:
        """Let the call not end before this has. A coroutine is started at once. If it fails, that is logged and fails
        nobody."""
        if asyncio.iscoroutine(awaitable):
            work = awaitable
            awaitable = self._interaction.start_soon(
                _logged(work, self._interaction.path), on_cancelled=lambda _: work.close()
            )
        self._interaction.make_sure_to_wait(awaitable)

    async def await_now(self, *, suppress_deadlock_warning: bool = False) -> None:
        """Wait for all that was given to `make_sure_to_wait`, now and not at the end.

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
        """Close the replies now; the agent's code may go on.

        Args:
            make_sure_to_wait: First wait for what was given to `make_sure_to_wait`.
        """
        if make_sure_to_wait:
            await self.await_now()
        self.close_replies()

    def close_replies(self) -> None:
        """Reply nothing more: also not the error, if the agent's code raises one."""
        self._interaction.close_replies()

    def _spawn(
        self, actor: object, name: str | None, options: SpawnOptions | None, kwargs: Mapping[str, Any]
    ) -> ActorRef:
        interaction = self._interaction
        return interaction.system.spawn_under(interaction.cell, actor, name, options, kwargs)


async def _logged(coro: Any, path: str) -> None:
    try:
        await coro
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        log_failure("call.side_task_failed", error, actor=path)
