"""`MiniAgents`: the actor system that agents live in.

The module is longer than most: it holds the public methods for agents and jobs, each with its documentation.
"""

import asyncio
import concurrent.futures
import importlib
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from miniagents.actors import Actor, EventKind, SpawnOptions, SupervisorRef
from miniagents.actors.cells.cell import Cell
from miniagents.actors.cells.living_cell import LivingCell
from miniagents.actors.cells.spawning import PoolOptions
from miniagents.actors.from_thread import FromThread
from miniagents.actors.system import SUPERVISOR_PROPS
from miniagents.agents.accounts import DEEPEST, Accounts, InteractionAccount, open_above
from miniagents.agents.activation import ActivationRoot, new_agent_cell, spawned
from miniagents.agents.agent import MiniAgent
from miniagents.agents.agent_pool import AgentPoolCell, AgentPoolRef
from miniagents.agents.allowances import BudgetInfo, Known, LimitInfo, budget_infos, limit_infos
from miniagents.agents.call_target import CallTarget
from miniagents.agents.class_cell import ClassAgentCell
from miniagents.agents.function_cell import FunctionAgentCell
from miniagents.agents.host import AgentHost, OpenCall, ServingCell
from miniagents.agents.interaction import Interaction
from miniagents.agents.interaction_context import InteractionContext
from miniagents.agents.job_options import Change, Retry
from miniagents.agents.message_observers import MessageObservers, PersistHandler
from miniagents.agents.reply_promise import ReplyPromise
from miniagents.errors import InvalidOptionError
from miniagents.messages import Message, Messages, MessageSequencePromise, Sendable
from miniagents.promising.abandoning import INSIST_EVERY
from miniagents.supervision import Pool
from miniagents.supervision.checking import check_count, check_kind

if TYPE_CHECKING:
    from miniagents.journal import Job, Journal
    from miniagents.journal.changes import JobChanges
    from miniagents.journal.pending_wait import PendingWait

M = TypeVar("M", bound=Message)

_AGENTS = "agents"


class MiniAgents(AgentHost):
    """An actor system for agents: `async with MiniAgents():`, `MiniAgents().run(main())`, or `activate()` and
    `await afinalize()` inside a running service.

    When the body of `async with` ends normally, the system waits for all interactions and all that they started, and
    then stops the tree. After an exception or a cancellation it stops everything at once, in supervised order.

    Args:
        errors_as_messages: Whether errors of agents arrive as `ErrorMessage`s. A call's own setting wins.
        on_persist_messages: An async function of an iterable of messages, which sees every message object once.
        budget: A `Budget` of `miniagents.ext.llms`, or several, which limit what all models of this system may spend
            together.
        journal: What durable actors and agents keep on disk, or None; see `ActorSystem`.
        durable_agents: Whether all agents are durable, and not only those with `@miniagent(durable=True)`.
        llm_logger_agent: The agent that logs the prompts and answers of LLM agents; True for Markdown files in
            `llm_logs/`, None for no log. An agent's own option wins.
        stream_llm_tokens_by_default: Whether LLM agents without an option of their own stream.
        **options: The options of `ActorSystem`.

    Example:
        >>> @miniagent
        ... async def parrot(ctx):
        ...     ctx.reply(f"{await ctx.message_promises}!")
        >>> async with MiniAgents():
        ...     print(await parrot.inquire("Hello"))
        Hello!
    """

    interaction_class = Interaction
    reply_promise_class = ReplyPromise
    context_class = InteractionContext

    def __init__(
        self,
        *,
        errors_as_messages: bool = False,
        on_persist_messages: PersistHandler | None = None,
        budget: object = None,
        journal: "Journal | None" = None,
        durable_agents: bool = False,
        llm_logger_agent: MiniAgent | bool | None = None,
        stream_llm_tokens_by_default: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(journal=journal, **options)
        if durable_agents and journal is None:
            raise InvalidOptionError(
                "durable_agents=True needs a journal: journal=SqliteJournal(path), of miniagents.journal"
            )
        self._answers: Any = None
        self._jobs: Any = None
        self._leaves_waits = False
        if journal is not None:
            self.use_journal(journal, records_all=durable_agents)
        self.own_budgets: tuple[Any, ...] = (
            () if budget is None else tuple(budget) if isinstance(budget, (tuple, list)) else (budget,)
        )
        self.known_limits: Known[Any] = Known()
        self.known_budgets: Known[Any] = Known()
        for own in self.own_budgets:
            self.known_budgets.add(own)
        self.llm_logger_agent = llm_logger_agent
        self.stream_llm_tokens_by_default = stream_llm_tokens_by_default
        self.errors_as_messages = errors_as_messages
        self._open_calls: dict[OpenCall, None] = {}
        self._interactions: dict[int, Interaction] = {}
        self._accounts: Accounts = None  # type: ignore[assignment]  # set by activate()
        self.interaction_ids = itertools.count(1)
        self._activations: dict[MiniAgent, ClassAgentCell | FunctionAgentCell] = {}
        self._agents_cell: ActivationRoot | None = None
        self._no_interactions: asyncio.Future[None] | None = None
        self._persistence = MessageObservers(self)
        if on_persist_messages is not None:
            self.on_persist_messages(on_persist_messages)

    def use_journal(self, journal: "Journal", *, records_all: bool) -> None:
        """Use a journal, in a system that has not been started yet. Programs give it to the constructor.

        Args:
            journal: The journal.
            records_all: Whether all agents are durable.
        """
        self.journal = journal
        # Loaded here alone, so that a program without a journal does not load what needs SQLite.
        durable = importlib.import_module("miniagents.agents.durable.system")
        self._jobs = durable.make_durable(self, journal, records_all=records_all)

    def activate(self) -> Self:
        """Start, without `async with`: for services that call `await afinalize()` when they end.

        Raises:
            RuntimeError: It is active already.
        """
        super().activate()
        self._activations = {}
        self._agents_cell = None
        self._answers = None
        self._leaves_waits = False
        self._accounts = Accounts(self.observers, self.dispatcher)
        return self

    async def afinalize(self, *, leaves_waits: bool = False) -> None:
        """Finish what is under way, stop the tree, and settle every promise.

        Args:
            leaves_waits: Whether jobs that only wait, for the clock or for an answer from outside, are left in the
                journal, where the next process resumes them. By default the system waits for them, too.
        """
        if leaves_waits and self._jobs is not None:
            self._leaves_waits = True
            self.answers.resting.leave()
        await super().afinalize()

    # Agents

    def run_agent(self, agent: MiniAgent[M], messages: Sendable | None = None, **arguments: Any) -> Messages[M]:
        """Run a program that is one call of an agent, as `run` does.

        Args:
            agent: The agent to call.
            messages: Whatever can be sent.
            **arguments: The arguments of `inquire`.

        Returns:
            The replies.
        """

        async def main() -> Messages[M]:
            return await agent.bind(self).inquire(messages, **arguments)

        return self.run(main())

    @overload
    async def pool(self, actor: MiniAgent[M], *, size: int, **options: Unpack[PoolOptions]) -> AgentPoolRef[M]: ...

    @overload
    async def pool(self, actor: type[Actor], *, size: int, **options: Unpack[PoolOptions]) -> SupervisorRef: ...

    @overload  # the class of an agent, which type checkers take for the plain class that it was before `@miniagent`
    async def pool(self, actor: type[Any], *, size: int, **options: Unpack[PoolOptions]) -> Any: ...

    async def pool(self, actor: object, *, size: int, **options: Unpack[PoolOptions]) -> SupervisorRef:
        """Start a pool of actors, or of agents, which can be called as one agent; see `ActorSystem.pool`."""
        return await super().pool(actor, size=size, **options)

    def base_name(self, actor: object) -> str:
        """Return the base of the name of an actor that is spawned without one."""
        return actor.alias if isinstance(actor, MiniAgent) else super().base_name(actor)

    def check_unnamed(self, actor: object, options: SpawnOptions | None) -> None:
        """Refuse a durable actor or class agent without a name."""
        if options is None and isinstance(actor, MiniAgent) and actor.is_class:
            options = actor.options.spawn
        if not isinstance(actor, MiniAgent) or actor.is_class:
            super().check_unnamed(actor, options)

    def new_cell(
        self, parent: Cell, actor: object, name: str, options: SpawnOptions | None, kwargs: Mapping[str, Any]
    ) -> LivingCell:
        """Make the cell of an actor or agent, without starting it."""
        if isinstance(actor, MiniAgent):
            chosen = options if options is not None else actor.options.spawn
            if isinstance(chosen, SpawnOptions) and chosen.is_placed:
                return self.place(parent, actor, name, chosen, kwargs)
            return new_agent_cell(self, parent, name, spawned(actor, options, kwargs))
        if isinstance(actor, Pool) and isinstance(actor.child, MiniAgent):
            member = actor.children[0]
            agent = spawned(actor.child, member.options, member.kwargs)
            return AgentPoolCell(self, parent, name, SUPERVISOR_PROPS, actor, agent)
        return super().new_cell(parent, actor, name, options, kwargs)

    def opened(self, call: OpenCall) -> None:
        """Note an `AgentCall` that was begun outside of agents, to finish it when the system ends."""
        self._open_calls[call] = None

    def closed(self, call: OpenCall) -> None:
        """Note that such an `AgentCall` is finished."""
        self._open_calls.pop(call, None)

    def activated(self, agent: MiniAgent) -> ServingCell[Interaction]:
        """Return the cell that serves the calls of an agent; its first use makes it."""
        cell = self._activations.get(agent)
        if cell is not None and (cell.stopping is None or cell.takes_calls):
            return cell
        self.check_running()
        if agent.options.spawn.is_placed:
            raise InvalidOptionError(
                f"agent {agent.alias}: node= and placement= are options of spawn(); spawn the agent, and call its "
                f"reference"
            )
        above = self._agents_cell
        if above is None:
            name = self.root.child_name(_AGENTS if self.lookup(_AGENTS) is None else None, _AGENTS)
            above = self._agents_cell = ActivationRoot(self, self.root, name)
            self.root.add_child(above)
            above.begin()
        if self.durability is not None and self.durability.keeps(agent):
            name = self.durability.name_of_cell(above, agent)
        else:
            taken = above.children is not None and agent.alias in above.children
            name = above.child_name(None if taken else agent.alias, agent.alias)
        cell = self._activations[agent] = new_agent_cell(self, above, name, agent, is_activated=True)
        above.add_child(cell)
        cell.begin()
        return cell

    def actor_ended(self, cell: Cell) -> None:
        """Forget an actor that has ended for good, so that the next use of its agent makes another one."""
        super().actor_ended(cell)
        agent = getattr(cell, "agent", None)
        if agent is not None and self._activations.get(agent) is cell:
            del self._activations[agent]

    # Interactions

    def interactions(self) -> tuple[Interaction, ...]:
        """Return the calls that are under way, oldest first."""
        return tuple(self._interactions.values())

    def interaction_started(self, interaction: Interaction) -> None:
        """Note that a call is under way. One that was silent is noted again when it turns out to be no replay."""
        self._interactions[interaction.id] = interaction
        if interaction.is_silent:
            return
        if self.observers.interaction_over:
            # Without a call, since an observer must not cost more than two for each message (tests/test_costs.py).
            dispatcher, parent = self.dispatcher, interaction.parent
            now = dispatcher.now if dispatcher.awake else dispatcher.time()
            above, level = None, 0
            if parent is not None and parent.account is not None:
                above = parent.account
                if above.over_at is not None or above.level >= DEEPEST:
                    above = open_above(above)
                if above is not None:
                    level = above.level + 1
                    if not above.open_below:
                        above.own_seconds += now - above.since
                    above.open_below += 1
            book = self._accounts
            account = InteractionAccount(
                interaction.id, interaction.cell, interaction.label, book, above, level, now, now
            )
            if interaction.is_running:  # it was looked up in the journal, and has turned out to be new
                account.attempts, account.begun_at, account.attempt_begun_at = 1, now, now
            book.open[interaction.id] = interaction.account = account
        for hook in self.observers.interaction_started:
            try:
                hook(interaction)
            except Exception as error:
                self.observers.failed(hook, error)
        if self.events.calls_wanted:
            self.events.publish(
                EventKind.INTERACTION_STARTED, interaction.path, detail=interaction.id, actor=interaction.cell
            )

    def interaction_ended(self, interaction: Interaction) -> None:
        """Note that a call is over."""
        if self._interactions.pop(interaction.id, None) is None:
            return
        if not interaction.is_silent:
            for hook in self.observers.interaction_ended:
                try:
                    hook(interaction)
                except Exception as error:
                    self.observers.failed(hook, error)
            if self.events.calls_wanted:
                self.events.publish(
                    EventKind.INTERACTION_ENDED,
                    interaction.path,
                    error=interaction.error if not interaction.was_passivated else None,
                    detail=interaction.id,
                    tokens=interaction.tokens,
                    cost=interaction.cost,
                    actor=interaction.cell,
                )
        if not self._interactions and self._no_interactions is not None and not self._no_interactions.done():
            self._no_interactions.set_result(None)

    async def _wait_until_quiet(self) -> None:
        while True:
            for call in tuple(self._open_calls):
                call.finish()
            await self._wait_for_background()
            if self._interactions:
                self._no_interactions = self.loop.create_future()
                await self._no_interactions
            elif self._jobs is not None and self._jobs.passivation.has_any and not self._leaves_waits:
                await self._jobs.passivation.until_none_is_left()
            elif not self._background_to_wait_for() and not self._open_calls:
                break
        await super()._wait_until_quiet()
        if self._open_calls or any(call.cancelled is None for call in self._interactions.values()):
            await self._wait_until_quiet()  # messages that were queued have started them

    async def _stop_interactions(self) -> None:
        for call in tuple(self._open_calls):
            call.finish()
        if self._jobs is not None:
            self._jobs.passivation.stop()
        ending = [interaction for interaction in self._interactions.values() if not interaction.ends_with_its_agent]
        for interaction in ending:
            if interaction.parent is None:
                interaction.begin_cancel("the system ends")
        tasks = [interaction.task for interaction in ending]
        running = [task for task in tasks if task is not None and not task.done()]
        if running:
            await asyncio.wait(running, timeout=INSIST_EVERY)
        if self._answers is not None:
            self._answers.close()

    def _that_run(self) -> list[Any]:
        # A call on a worker is in both.
        return list(dict.fromkeys((*self._interactions.values(), *super()._that_run())))

    def accounts(self) -> tuple[InteractionAccount, ...]:
        """Return the accounts of the calls that are not over, oldest first.

        They are kept while an observer follows calls to their end (`Observer.interaction_over`). A call that was under
        way when that observer came has none.
        """
        return tuple(self._accounts.open.values())

    def limits(self) -> tuple[LimitInfo, ...]:
        """Return the rate limits that the agents of this system have used and still have: each whole, and with
        `per="caller"` behind it the shares of its callers, at most 1,000."""
        return limit_infos(self.known_limits)

    def budgets(self) -> tuple[BudgetInfo, ...]:
        """Return the budgets of this system and of its agents that have used them. With `per="caller"` these are the
        shares of the callers, at most 1,000."""
        return budget_infos(self.known_budgets)

    # Jobs

    def run_job(
        self,
        name: str,
        agent: CallTarget[M],
        messages: Sendable | None = None,
        *,
        retry: Retry | None = None,
        on_change: Change = Change.RUN,
        **kwargs: Any,
    ) -> MessageSequencePromise[M]:
        """Run an agent as a job, which outlives the process.

        Run again under its name, after a crash or in another program, the job continues: what its agents were answered
        is not asked again. A job that has finished returns its replies at once. A job that runs is joined.

        Args:
            name: The name of the job, unique in the journal.
            agent: The agent. It need not be durable itself.
            messages: The messages, in any form that can be sent. The job starts once all of them are there and on disk.
            retry: Which recorded answers are thrown away first; None for none. It also frees a job that is stuck or
                was cancelled.
            on_change: What becomes of the recorded answers of agents whose code has changed.
            **kwargs: The arguments of `inquire`: `timeout=`, `errors_as_messages=`, and those of the agent.

        Returns:
            The promise of the replies, as from `inquire`. It fails with `JobConflictError` if the name belongs to a job
            with another agent or input, or to one that runs and `retry=` is given, with `JobStuckError` if the job has
            killed its process three times in a row, and with `PromiseCancelledError` if it was cancelled.

        Raises:
            InvalidOptionError: The system has no journal.
            AgentArgumentError: The agent does not take these arguments.
            NotSendableError: `messages` cannot be sent.

        Example:
            >>> from miniagents.journal import MemoryJournal
            >>> @miniagent
            ... async def writer(ctx):
            ...     print("writing")
            ...     ctx.reply(f"a poem about {await ctx.message_promises}")
            >>> async with MiniAgents(journal=MemoryJournal()) as mini:
            ...     print(await mini.run_job("poem-1", writer, "the sea"))
            ...     print(await mini.run_job("poem-1", writer, "the sea"))
            writing
            a poem about the sea
            a poem about the sea
        """
        check_kind("run_job(name=)", name, str)
        if not name:
            raise InvalidOptionError("run_job(name=) is the name of the job, and must not be empty")
        check_kind("run_job(retry=)", retry, Retry, or_none=True)
        check_kind("run_job(on_change=)", on_change, Change)
        promise: MessageSequencePromise[M] = self._with_jobs().run(name, agent, messages, retry, on_change, kwargs)
        return promise

    async def unfinished_jobs(self) -> "tuple[Job, ...]":
        """Return the jobs that have not ended, oldest first: those that run or can be resumed, and the stuck ones.

        Raises:
            InvalidOptionError: The system has no journal.
            JournalError: The journal cannot be read.
        """
        jobs: tuple[Job, ...] = await self._with_jobs().unfinished()
        return jobs

    async def resume_all(self, max_concurrency: int = 16) -> dict[str, MessageSequencePromise]:
        """Resume the jobs that have not ended, oldest first. Their agents are looked up in the modules that are loaded;
        a job whose agent is not there is logged and left alone.

        Args:
            max_concurrency: How many jobs run at the same time, 1 or more. A job that only waits does not count. The
                call returns once the last job has begun.

        Returns:
            The promises of the replies, by the names of the jobs.

        Raises:
            InvalidOptionError: The system has no journal, or `max_concurrency` is below 1.
            JournalError: The journal cannot be read.
        """
        check_count("resume_all(max_concurrency=)", max_concurrency, 1)
        resumed: dict[str, MessageSequencePromise] = await self._with_jobs().resume_all(max_concurrency)
        return resumed

    async def changes_of_job(self, name: str) -> "JobChanges":
        """Compare the agents that a job has run with the code of this program, before anything of it runs.

        Args:
            name: The name of the job.

        Returns:
            The agents that have changed, how many recorded answers would not be used, and which waits would vanish.

        Raises:
            InvalidOptionError: The system has no journal.
            JournalError: The journal cannot be read.
        """
        changes: JobChanges = await self._with_jobs().changes(name)
        return changes

    async def cancel_job(self, name: str) -> bool:
        """Cancel a job, with all calls below it and what they wait for. The job stays cancelled after a restart.

        Returns:
            False if there is no such job, or it has ended.

        Raises:
            InvalidOptionError: The system has no journal.
            JournalError: The journal cannot be written.
        """
        was_cancelled: bool = await self._with_jobs().cancel(name)
        return was_cancelled

    def _with_jobs(self) -> Any:
        self.check_running()
        if self._jobs is None:
            raise InvalidOptionError(
                f"system {self.name!r} has no journal, and jobs need one: journal=SqliteJournal(path), of "
                f"miniagents.journal"
            )
        return self._jobs

    # Waits

    async def pending(self, job: str | None = None) -> "tuple[PendingWait, ...]":
        """Return what waits for an answer from outside (`ctx.wait_for`), oldest first.

        Args:
            job: The job whose waits are returned; "" for the calls without a job, None for all.

        Returns:
            The waits, each with its id, the path of its agent and its prompt. Waits of jobs that do not run at this
            moment are among them.

        Raises:
            SystemNotRunningError: The system is not running.
            JournalError: The journal cannot be read.
        """
        self.check_running()
        waits: tuple[PendingWait, ...] = await self.answers.pending(job)
        return waits

    async def deliver(
        self, job: str, name_or_id: str, message: "str | Mapping[str, Any] | Message", *, by: str | None = None
    ) -> str | None:
        """Answer what waits for an answer from outside (`ctx.wait_for`), once.

        An answer to something that does not wait yet is kept until it does.

        Args:
            job: The name of the job; "" for a call without one.
            name_or_id: The name that the agent waits for, or the id of the wait, which `pending` shows.
            message: The answer: a text, a dict, or a message. A dict is taken as the fields of the class that is waited
                for, if there is one.
            by: The name of the user who answers; None for the caller of the code that calls this.

        Returns:
            The id of the wait that has the answer, once it is on disk; None for an answer that is kept.

        Raises:
            AnswerRefusedError: It has an answer already; several have this name; the answer is of another type than is
                waited for; the job has ended, or there is no such job or wait.
            MessageTooLargeError: The answer is larger than the journal takes.
            SystemNotRunningError: The system is not running.
            JournalError: The journal cannot be written.
        """
        self.check_running()
        id: str | None = await self.answers.deliver(job, name_or_id, message, by)
        return id

    @property
    def answers(self) -> Any:
        """What the calls wait for from outside; made when it is first asked for."""
        if self._answers is None:
            # Loaded here alone, so that a program in which nothing waits does not load the journal.
            self._answers = importlib.import_module("miniagents.agents.waiting.answers").Answers(self)
        return self._answers

    # Messages

    def on_persist_messages(self, handler: PersistHandler) -> PersistHandler:
        """Decorate an async function of an iterable of messages, so that it sees every message object once.

        The parts of a message come before the message. An error of the function is logged and fails no agent.
        """
        self._persistence.add_handler(handler)
        self.persists_messages = True
        return handler

    def message_resolved(self, message: Message) -> None:
        if self.persists_messages:
            self._persistence.add(message)

    @property
    def from_thread(self) -> "AgentsFromThread":
        """The way in for code in other threads."""
        return AgentsFromThread(self)


class AgentsFromThread(FromThread):
    """Calls from other threads, to agents as well as to actors.

    Example:
        >>> @miniagent
        ... async def parrot(ctx):
        ...     ctx.reply(f"{await ctx.message_promises}!")
        >>> async with MiniAgents() as system:
        ...     print(await asyncio.to_thread(lambda: system.from_thread.inquire(parrot, "Hello").result()))
        Hello!
    """

    __slots__ = ()

    def inquire(
        self, agent: CallTarget[M], messages: Sendable | None = None, **arguments: Any
    ) -> "concurrent.futures.Future[Messages[M]]":
        """Call an agent as `agent.inquire` does, and return a future of `Messages` for this thread."""
        system = self._system
        assert isinstance(system, MiniAgents)  # AgentsFromThread is made by it alone
        target = agent.bind(system) if isinstance(agent, MiniAgent) else agent
        return self._submit(lambda: target.inquire(messages, **arguments))
