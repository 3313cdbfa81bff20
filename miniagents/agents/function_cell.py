"""The cells of function agents.

A function has no instance, so its calls need no turn of an actor: each runs on a worker of its own, concurrently. The
calls of a class agent go another way; see `miniagents.agents.class_cell`.
"""

import asyncio
from collections.abc import Awaitable
from contextvars import Context
from functools import partial
from typing import Any

from miniagents.actors import DeadLetterReason, Envelope, EventKind
from miniagents.actors.cells.cell import Cell
from miniagents.actors.messaging.entries import BARRIER
from miniagents.agents.agent import MiniAgent
from miniagents.agents.agent_cell import AgentCell, answer_of
from miniagents.agents.host import AgentHost
from miniagents.agents.interaction import Interaction
from miniagents.errors import ActorStoppedError, PromiseCancelledError
from miniagents.log import log as _log
from miniagents.messages import EMPTY, Message
from miniagents.promising.abandoning import INSIST_EVERY
from miniagents.supervision.lifecycle import Event, Phase, Wish, life

_UP = life(Phase.UP, again=True)
"""The state in which calls begin as they come."""


class FunctionAgentCell(AgentCell):
    """The cell of a function agent, which runs calls concurrently, each on a worker.

    Args:
        system: The system of the cell.
        parent: The cell above.
        name: The last part of the path.
        agent: The agent.
        is_activated: Whether the first use of the agent makes the cell.
    """

    __slots__ = (
        "_arguments",
        "_ending",
        "_failure",
        "_passivation",
        "_rests_since",
        "_running",
        "agent",
        "is_activated",
        "spent_cost",
        "spent_tokens",
    )

    is_serial = False
    kind = "agent"

    def __init__(
        self, system: AgentHost, parent: Cell, name: str, agent: MiniAgent, *, is_activated: bool = False
    ) -> None:
        super().__init__(system, parent, name, agent.options.props)
        self.agent = agent
        self.is_activated = is_activated
        self.spent_tokens = 0
        self.spent_cost = 0.0
        self._passivation = None
        self._rests_since = 0.0
        self._arguments = {**agent.arguments, **agent.live_arguments}
        self._running: dict[Interaction, None] = {}
        self._ending: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    # Start

    def take_notice(self) -> None:
        """Start at once, since a function has nothing to set up, or end if that was asked for and no call runs."""
        if self.life.phase is Phase.DUE:
            is_first = not self.life.again
            restarted, self._restart_reason = self._restart_reason, None
            self.apply(Event.BEGUN)
            self.apply(Event.STARTED)
            self.announce_start(is_first, restarted)
            self.rests()
            self.wake()
        self._end_if_idle()

    @property
    def is_busy(self) -> bool:
        """True if calls run."""
        return bool(self._running)

    # Calls

    @property
    def load(self) -> int:
        """The number of calls that wait or run."""
        return self.depth + len(self._running)

    def wake(self) -> None:
        """Begin the calls that wait in the mailbox, as many as may run at once."""
        queue = self.queue
        limit = self.agent.options.max_concurrency
        while queue and self._takes_work() and (limit is None or len(self._running) < limit):
            envelope = queue.popleft()
            if self._room is not None:
                self.made_room()
            if envelope.__class__ is float:
                self.head_enqueued_at = envelope
                self.dead_entries -= 1
                continue
            if isinstance(envelope, Message):
                envelope = Envelope(envelope, at=self.head_enqueued_at)
            envelope.taken = True
            ask = envelope.ask
            if ask is not None and ask.done():
                self.dead_entries -= 1
            elif envelope.message is BARRIER:
                ask.answer(None)
            elif isinstance(envelope.message, Interaction):
                self._run(envelope.message, envelope)
            else:
                self._run_message(envelope)

    def _takes_work(self) -> bool:
        """Return True if calls may begin: the agent is up, and is not to end unless it handles what waits first."""
        life = self.life
        return life.phase is Phase.UP and (life.wish is Wish.NONE or life.wish is Wish.DRAIN)

    def take_call(self, interaction: Interaction) -> None:
        """Begin a call, at once if nothing waits and the agent has no limit; else put it into the mailbox."""
        if self.life is _UP and not self.queue and self.agent.options.max_concurrency is None:
            self._run(interaction, None)
        else:
            super().take_call(interaction)

    def _run(self, interaction: Interaction, envelope: Envelope | None) -> None:
        self._running[interaction] = None
        retry = self.props.options.retry
        if retry is not None:
            envelope = envelope if envelope is not None else interaction.in_envelope()
            envelope.taken = True
            task = interaction.start(self.call, settles=False)
            task.add_done_callback(partial(self._tried, interaction, envelope))
        elif self.props.own_task:
            interaction.start(self.call, settles=True)
        else:
            interaction.run_soon()
        if self.props.handler_timeout is not None:
            interaction.watch_for_hang(self.props.handler_timeout)

    def call(self, interaction: Interaction) -> Awaitable[object]:
        """Make the coroutine of the agent's function, with its arguments."""
        ctx = interaction.ctx = self.system.context_class(interaction)
        function, arguments = self.agent.wrapped, interaction.arguments
        coro: Awaitable[object] = (
            function(ctx, **{**self._arguments, **arguments})
            if self._arguments or arguments is not EMPTY
            else function(ctx)
        )
        return coro

    def _run_message(self, envelope: Envelope) -> None:
        """Run a plain message as a call. The replies are the answer, if one is wanted."""
        interaction = self.as_interaction(envelope)
        ask: Any = envelope.ask  # an `Ask`, since it is no call
        if ask is not None:

            async def answer() -> None:
                try:
                    ask.answer(await answer_of(interaction.replies, ask.message))
                except (Exception, KeyboardInterrupt, SystemExit) as error:
                    ask.fail(error)

            self.system.start_soon(answer(), on_cancelled=ask.fail)
        self._run(interaction, envelope)

    def _tried(self, interaction: Interaction, envelope: Envelope, task: "asyncio.Task[BaseException | None]") -> None:
        """Run a call again that failed, if the `RetryPolicy` allows that and the caller has seen nothing of it."""
        retry, error = self.props.options.retry, None if task.cancelled() else task.result()
        if error is None or isinstance(error, PromiseCancelledError) or retry is None:
            return
        envelope.crashes += 1
        if not isinstance(error, interaction.answers):
            self.system.events.publish(
                EventKind.CRASH, self.path, error=error, actor=self, call=interaction, attempt=envelope.crashes
            )
        if interaction.done():
            return
        interaction.stop_watch()  # the next attempt has all the time
        if isinstance(error, retry.on) and not interaction.has_replied:
            if envelope.crashes < retry.attempts_of(self.props.options.poison_after) and self.stopping is None:
                if retry.backoff is None:
                    self._run(interaction, envelope)
                else:
                    pause = retry.backoff.delay(envelope.crashes - 1, self.system.random)
                    interaction.start_soon(self._try_later(interaction, envelope, pause))
                return
            self.system.dead_letters.add(DeadLetterReason.POISONOUS, envelope, self.ref, error)
        interaction.fail(error)

    async def _try_later(self, interaction: Interaction, envelope: Envelope, pause: float) -> None:
        await asyncio.sleep(pause)
        if not interaction.done() and self.stopping is None:
            self._run(interaction, envelope)

    def interaction_ended(self, interaction: Interaction) -> None:
        """Note that a call has ended, and begin the next one or end, if that is due."""
        if interaction not in self._running:
            return
        del self._running[interaction]
        self.handled += 1
        error = interaction.error
        if error is not None and not interaction.was_passivated:
            self.failed(error)
        if not self._running and self.is_activated and self.life is _UP:
            self._running.clear()  # gives the memory of its table back
            self.rests()
        if self.queue:
            self.wake()
        if self.life is not _UP:
            self._end_if_idle()

    # The end

    def interrupt(self) -> None:
        """Cancel the calls that run, and do so again after a second for those that swallow it."""
        super().interrupt()  # first, since the last of them may end here and now, and the agent with it
        for interaction in tuple(self._running):
            if interaction.cancelled is None:
                interaction.begin_cancel(
                    self._failure
                    if self._failure is not None
                    else ActorStoppedError(
                        f"{self.path}: stopped before it answered", path=self.path, reason=self.reason
                    )
                )
            elif interaction.task is not None:
                told_at = interaction.told_to_end_at
                if told_at is not None and self.system.time() >= told_at + INSIST_EVERY:
                    _log.warning("call.swallows_cancel", actor=self.path)
                interaction.interrupt("its agent must end")

    def crash(self, error: BaseException) -> None:
        """Crash with `error`: the supervision of the children has used up its restarts."""
        if self._failure is None and self.life.phase is Phase.UP:
            self._failure = error
            self.apply(Event.FAIL)

    def _end_if_idle(self) -> None:
        """End now if that was asked for and no call runs any more."""
        if self._running:
            return
        phase = self.life.phase
        if phase is Phase.DOOMED:
            error, self._failure = self._failure, None
            assert error is not None  # it is what dooms
            self.failed(error)
            self.reason = error
            self.system.events.publish(EventKind.CRASH, self.path, error=error, actor=self)
            self.apply(Event.CRASHED)
        elif phase is Phase.UP and self.life.wish is not Wish.NONE:
            self.apply(Event.LET_GO if self.depth else Event.DRAINED)
        if self.life.phase is not Phase.ENDING or self._ending is not None:
            return
        if self.children:
            self._ending = self.system.loop.create_task(self._end_children(), context=Context())
            self._ending.add_done_callback(self._children_ended)
        else:
            self.apply(Event.GONE)

    async def _end_children(self) -> None:
        supervisor, self.own_supervisor = self.own_supervisor, None
        if supervisor is not None:
            await supervisor.stop_all()
        await self.end_children()

    def _children_ended(self, task: "asyncio.Task[None]") -> None:
        """End, or end the children again if that was cut off, perhaps before its first step."""
        self._ending = None
        if self.children:
            self._end_if_idle()
        else:
            self.apply(Event.GONE)
