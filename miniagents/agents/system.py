"""`MiniAgents`: the actor system that agents live in."""

import asyncio
import concurrent.futures
import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, overload

from miniagents.actors import ActorRef, EventKind, SpawnOptions, SupervisorRef
from miniagents.actors.from_thread import FromThread
from miniagents.actors.observing.observers import observer_failed
from miniagents.actors.system import SUPERVISOR_PROPS
from miniagents.agents.activation import ActivationRoot, new_agent_cell, spawned
from miniagents.agents.agent import MiniAgent
from miniagents.agents.agent_cell import AgentRef
from miniagents.agents.agent_pool import AgentPoolCell, AgentPoolRef
from miniagents.agents.call_target import CallTarget
from miniagents.agents.host import AgentHost
from miniagents.agents.message_observers import MessageObservers, PersistHandler
from miniagents.messages import Messages, Sendable
from miniagents.promising.abandoning import INSIST_EVERY
from miniagents.supervision import Pool, Routing, Strategy

if TYPE_CHECKING:
    from miniagents.agents.call import AgentCall
    from miniagents.agents.interaction import Interaction

_AGENTS = "agents"


class MiniAgents(AgentHost):
    """An actor system for agents: `async with MiniAgents():`, `MiniAgents().run(main())`, or `activate()` and
    `await afinalize()` inside a running service.

    Leaving it normally waits for all interactions and what they started, and then stops the tree; by an exception or a
    cancellation everything is stopped at once, in supervised order.

    Args:
        errors_as_messages: Errors of agents arrive as `ErrorMessage`s; a call's own value wins.
        on_persist_messages: An async function of an iterable of messages, which sees every message object once.
        budget: A `Budget` of `miniagents.ext.llms`, or several: what all models of this system may spend together.
        llm_logger_agent: What LLM agents log their prompts and answers with: an agent, True for Markdown files in
            `llm_logs/`, or None for nothing. An agent's own option wins.
        stream_llm_tokens_by_default: Whether LLM agents stream where they are not told.
        **options: Those of `ActorSystem`.
    """

    def __init__(
        self,
        *,
        errors_as_messages: bool = False,
        on_persist_messages: PersistHandler | None = None,
        budget: Any = None,
        llm_logger_agent: MiniAgent | bool | None = None,
        stream_llm_tokens_by_default: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.budgets: tuple[Any, ...] = (
            () if budget is None else tuple(budget) if isinstance(budget, (tuple, list)) else (budget,)
        )
        self.llm_logger_agent = llm_logger_agent
        self.stream_llm_tokens_by_default = stream_llm_tokens_by_default
        self.errors_as_messages = errors_as_messages
        self.open_calls: dict[AgentCall, None] = {}
        self._interactions: dict[int, Interaction] = {}
        self.interaction_ids = itertools.count(1)
        self._activations: dict[MiniAgent, Any] = {}
        self._agents_cell: ActivationRoot | None = None
        self._no_interactions: asyncio.Future[None] | None = None
        self._persistence = MessageObservers(self)
        if on_persist_messages is not None:
            self.on_persist_messages(on_persist_messages)

    def activate(self) -> Self:
        """Start, without `async with`: for services that call `await afinalize()` when they end.

        Raises:
            RuntimeError: It is active already.
        """
        super().activate()
        self._activations = {}
        self._agents_cell = None
        return self

    # Agents

    def run_agent(self, agent: MiniAgent, messages: Sendable | None = None, **arguments: Any) -> Messages:
        """Run a program that is one call of an agent, as `run` does.

        Args:
            agent: Whom to call.
            messages: What to send.
            **arguments: Those of `inquire`.

        Returns:
            Its replies.
        """

        async def main() -> Messages:
            return await agent.bind(self).inquire(messages, **arguments)

        return self.run(main())

    @overload
    def spawn(
        self,
        actor: MiniAgent,
        *,
        name: str | None = None,
        options: SpawnOptions | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> AgentRef: ...

    @overload
    def spawn(
        self,
        actor: Any,
        *,
        name: str | None = None,
        options: SpawnOptions | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> ActorRef: ...

    def spawn(
        self,
        actor: Any,
        *,
        name: str | None = None,
        options: SpawnOptions | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> ActorRef:
        """Start an actor or a named agent at the top of the tree; see `ActorSystem.spawn`."""
        return super().spawn(actor, name=name, options=options, kwargs=kwargs, **arguments)

    @overload
    async def pool(
        self,
        actor: MiniAgent,
        *,
        size: int,
        routing: Routing = Routing.ROUND_ROBIN,
        key: Callable[[Any], object] | None = None,
        name: str | None = None,
        strategy: Strategy | None = None,
        options: SpawnOptions | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> AgentPoolRef: ...

    @overload
    async def pool(
        self,
        actor: Any,
        *,
        size: int,
        routing: Routing = Routing.ROUND_ROBIN,
        key: Callable[[Any], object] | None = None,
        name: str | None = None,
        strategy: Strategy | None = None,
        options: SpawnOptions | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> SupervisorRef: ...

    async def pool(self, actor: Any, *, size: int, **options: Any) -> SupervisorRef:
        """Start a pool of actors, or of agents, which can be called as one agent; see `ActorSystem.pool`."""
        return await super().pool(actor, size=size, **options)

    def base_name(self, actor: Any) -> str:
        """What an actor without a name is called after."""
        return actor.alias if isinstance(actor, MiniAgent) else super().base_name(actor)

    def new_cell(
        self, parent: Any, actor: Any, name: str, options: SpawnOptions | None, kwargs: Mapping[str, Any]
    ) -> Any:
        """Make the cell of an actor or agent, without starting it."""
        if isinstance(actor, MiniAgent):
            return new_agent_cell(self, parent, name, spawned(actor, options, kwargs))
        if isinstance(actor, Pool) and isinstance(actor.child, MiniAgent):
            member = actor.children[0]
            agent = spawned(actor.child, member.options, member.kwargs)
            return AgentPoolCell(self, parent, name, SUPERVISOR_PROPS, actor, agent)
        return super().new_cell(parent, actor, name, options, kwargs)

    def opened(self, call: "AgentCall") -> None:
        """A call was begun outside of agents; it is finished when the system ends at the latest."""
        self.open_calls[call] = None

    def closed(self, call: "AgentCall") -> None:
        """Such a call is finished."""
        self.open_calls.pop(call, None)

    def activated(self, agent: MiniAgent) -> Any:
        """The cell that serves an agent's calls; its first use makes it."""
        cell = self._activations.get(agent)
        if cell is not None and (cell.stopping is None or cell.takes_calls):
            return cell
        self.check_running()
        above = self._agents_cell
        if above is None:
            name = self.root.child_name(_AGENTS if self.lookup(_AGENTS) is None else None, _AGENTS)
            above = self._agents_cell = ActivationRoot(self, self.root, name)
            self.root.add_child(above)
            above.begin()
        taken = above.children is not None and agent.alias in above.children
        name = above.child_name(None if taken else agent.alias, agent.alias)
        cell = self._activations[agent] = new_agent_cell(self, above, name, agent, is_activated=True)
        above.add_child(cell)
        cell.begin()
        return cell

    def actor_ended(self, cell: Any) -> None:
        """An actor has ended for good: the next use of its agent makes another one."""
        super().actor_ended(cell)
        agent = getattr(cell, "agent", None)
        if agent is not None and self._activations.get(agent) is cell:
            del self._activations[agent]

    # Interactions

    def interactions(self) -> "tuple[Interaction, ...]":
        """The calls that are under way, oldest first."""
        return tuple(self._interactions.values())

    def interaction_started(self, interaction: "Interaction") -> None:
        """A call is under way."""
        self._interactions[interaction.id] = interaction
        for hook in self.observers.interaction_started:
            try:
                hook(interaction)
            except Exception as error:
                observer_failed(hook, error)
        if self.events.wanted:
            self.events.publish(EventKind.INTERACTION_STARTED, interaction.path, detail=interaction.id)

    def interaction_ended(self, interaction: "Interaction") -> None:
        """A call is over."""
        if self._interactions.pop(interaction.id, None) is not None:
            for hook in self.observers.interaction_ended:
                try:
                    hook(interaction)
                except Exception as error:
                    observer_failed(hook, error)
            if self.events.wanted:
                self.events.publish(
                    EventKind.INTERACTION_ENDED,
                    interaction.path,
                    error=interaction.error,
                    detail=interaction.id,
                    tokens=interaction.tokens,
                    cost=interaction.cost,
                )
            if not self._interactions and self._no_interactions is not None and not self._no_interactions.done():
                self._no_interactions.set_result(None)

    async def _wait_until_quiet(self) -> None:
        while True:
            for call in tuple(self.open_calls):
                call.finish()
            await self._wait_for_background()
            if self._interactions:
                self._no_interactions = self.loop.create_future()
                await self._no_interactions
            elif not self._background_to_wait_for() and not self.open_calls:
                break
        await super()._wait_until_quiet()
        if self.open_calls or any(one.cancelled is None for one in self._interactions.values()):
            await self._wait_until_quiet()  # messages that were queued have started them

    async def _stop_interactions(self) -> None:
        for call in tuple(self.open_calls):
            call.finish()
        tops = [one for one in self._interactions.values() if one.parent is None]
        for one in tops:
            one.begin_cancel("the system ends")
        tasks = [one.task for one in self._interactions.values() if one.task is not None and not one.task.done()]
        if tasks:
            await asyncio.wait(tasks, timeout=INSIST_EVERY)

    def _that_run(self) -> list[Any]:
        # A call that runs on a worker is both.
        return list(dict.fromkeys((*self._interactions.values(), *super()._that_run())))

    # Messages

    def on_persist_messages(self, handler: PersistHandler) -> PersistHandler:
        """A decorator: let an async function of an iterable see every message object once, parts before wholes. A
        handler that fails is logged and fails nobody."""
        self._persistence.add_handler(handler)
        self._persists = True
        return handler

    def _message_resolved(self, message: Any) -> None:
        if self._persists:
            self._persistence.add(message)

    @property
    def from_thread(self) -> "AgentsFromThread":
        """For code in other threads."""
        return AgentsFromThread(self)


class AgentsFromThread(FromThread):
    """Calls from other threads, those of agents included."""

    __slots__ = ()

    def inquire(
        self, agent: CallTarget, messages: Sendable | None = None, **arguments: Any
    ) -> "concurrent.futures.Future[Any]":
        """Like `agent.inquire`, as a future of `Messages` for this thread."""
        system = self._system
        assert isinstance(system, MiniAgents)  # AgentsFromThread is made by it alone
        target = agent.bind(system) if isinstance(agent, MiniAgent) else agent
        return self._submit(lambda: target.inquire(messages, **arguments))
