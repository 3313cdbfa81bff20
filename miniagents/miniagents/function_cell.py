"""The cells of function agents: their calls run concurrently."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from miniagents.actors import DeadLetterReason, Envelope, EventKind
from miniagents.actors.ask import Ask
from miniagents.actors.cell import Cell
from miniagents.actors.inbox import BARRIER
from miniagents.actors.options import Props
from miniagents.actors.state import IDLE, RESTARTING, RUNNING, STARTING, STOPPED, STOPPING
from miniagents.errors import ActorStoppedError
from miniagents.messages import Message
from miniagents.miniagents.agent_cell import AgentCell, answer_of
from miniagents.miniagents.interaction import Interaction
from miniagents.supervision import StopReason

if TYPE_CHECKING:
    from miniagents.miniagents.agent import MiniAgent
    from miniagents.miniagents.system import MiniAgents

_log = structlog.get_logger("miniagents")

_INSIST_EVERY = 1.0


class FunctionAgentCell(AgentCell):
    """The cell of a function agent: its calls run concurrently, each on a worker."""

    __slots__ = (
        "_arguments",
        "_ending",
        "_grace",
        "_passivation",
        "_running",
        "_suspending",
        "agent",
        "is_activated",
    )

    is_serial = False

    def __init__(
        self, system: "MiniAgents", parent: Cell, name: str, agent: "MiniAgent", *, is_activated: bool = False
    ) -> None:
        super().__init__(system, parent, name, Props(lambda: None, agent.options.spawn, agent.options.errors))
        self.agent = agent
        self.is_activated = is_activated
        self._passivation = None
        self._arguments = {**agent.arguments, **agent.live_arguments}
        self._running: set[Interaction] = set()
        self._ending: asyncio.Task[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._suspending: asyncio.Future[None] | None = None

    # Start

    def begin(self) -> None:
        """Start: a function has nothing to set up."""
        self.system.events.publish(EventKind.SPAWN, self.path)
        self._go()

    def _go(self) -> None:
        self.state = IDLE
        if self._started is not None:
            self._started._resolve(None)
        self.report_started(None)
        self.rests()
        self.wake()

    # Calls

    @property
    def load(self) -> int:
        """How many calls wait or run."""
        return self.depth + len(self._running)

    def wake(self) -> None:
        """There is something in the mailbox: begin as many calls as may run at once."""
        stopping = self.stopping
        if self._suspending is not None or self._ending is not None or (stopping is not None and not stopping.drain):
            return
        queue = self.queue
        most = self.agent.options.max_concurrency
        while queue and self.state is not STARTING and (most is None or len(self._running) < most):
            envelope = queue.popleft()
            if self._room is not None:
                self.made_room()
            if envelope.__class__ is float:
                self.head_at = envelope
                self.gone -= 1
                continue
            if isinstance(envelope, Message):
                envelope = Envelope(envelope, at=self.head_at)
            envelope.taken = True
            ask = envelope.ask
            if ask is not None and ask.done():
                self.gone -= 1
            elif envelope.message is BARRIER:
                ask.answer(None)
            elif isinstance(envelope.message, Interaction):
                self._run(envelope.message, envelope)
            else:
                self._run_message(envelope)

    def take_call(self, interaction: Interaction) -> None:
        """A call begins, at once where nothing is in its way."""
        if (
            (self.state is RUNNING or self.state is IDLE)
            and not self.queue
            and self.stopping is None
            and self._suspending is None
            and self._ending is None
            and self.agent.options.max_concurrency is None
        ):
            self._run(interaction, None)
        else:
            super().take_call(interaction)

    def _run(self, interaction: Interaction, envelope: Any) -> None:
        if self._passivation is not None:
            self._works()
        self._running.add(interaction)
        self.state = RUNNING
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

    def call(self, ctx: Any) -> Any:
        """The agent's function, with its arguments."""
        given = ctx.interaction.arguments
        if self._arguments or given:
            return self.agent.wrapped(ctx, **{**self._arguments, **given})
        return self.agent.wrapped(ctx)

    def _run_message(self, envelope: Envelope) -> None:
        """A plain message: its answer, if one is wanted, is what the agent replies."""
        interaction = self.as_interaction(envelope)
        ask = envelope.ask
        if ask is not None:
            ask._producer = ask.behind = interaction

            async def answer() -> None:
                try:
                    ask.answer(await answer_of(interaction.replies))
                except (Exception, KeyboardInterrupt, SystemExit) as error:
                    ask.fail(error)

            self.system.start_soon(answer())
        self._run(interaction, envelope)

    def _tried(self, interaction: Interaction, envelope: Envelope, task: "asyncio.Task[BaseException | None]") -> None:
        """With a `RetryPolicy`: run it again, as long as nothing of it was seen."""
        retry, error = self.props.options.retry, None if task.cancelled() else task.result()
        if error is None or interaction.done() or retry is None:
            return
        envelope.crashes += 1
        if isinstance(error, retry.on) and not interaction.has_replied:
            if envelope.crashes < retry.attempts_of(self.props.options.poison_after) and self.stopping is None:
                if retry.backoff is None:
                    self._run(interaction, envelope)
                else:
                    pause = retry.backoff.delay(envelope.crashes - 1, self.system.random)
                    interaction.start_soon(self._try_later(interaction, envelope, pause))
                return
            self.system.dead_letters.add(DeadLetterReason.POISONOUS, envelope, self.ref)
        interaction.fail(error)

    async def _try_later(self, interaction: Interaction, envelope: Envelope, pause: float) -> None:
        await asyncio.sleep(pause)
        if not interaction.done() and self.stopping is None:
            self._run(interaction, envelope)

    def interaction_ended(self, interaction: Interaction) -> None:
        """One call less runs."""
        if interaction not in self._running:
            return
        self._running.discard(interaction)
        self.handled += 1
        error = interaction.error
        if error is not None:
            self.failed(error)
        if not self._running and self.state is RUNNING:
            self.state = IDLE
            if self.is_activated:
                self.rests()
        if self.queue:
            self.wake()
        if self.stopping is not None or self._suspending is not None:
            self._end_if_idle()

    def ask_expired(self, ask: Any) -> None:
        """The ask of a plain message expired: so does its interaction."""
        if isinstance(ask, Ask) and ask.behind is not None:
            ask.behind.expire()
        else:
            super().ask_expired(ask)

    def ask_cancelled(self, ask: Any) -> Any:
        """The ask of a plain message was cancelled: so is its interaction."""
        if isinstance(ask, Ask) and ask.behind is not None:
            ask.behind.begin_cancel("its ask was cancelled")
            return ask.behind.wait_stopped()
        return super().ask_cancelled(ask)

    # The end

    def stop_requested(self, *, escalated: bool) -> None:
        """Let what runs end within `shutdown` seconds, then cancel it, then its children, then itself."""
        stopping = self.stopping
        assert stopping is not None  # it says how
        self._works()
        if stopping.reason is StopReason.KILLED or self.shutdown == 0:
            self._cut_off()
        elif self._grace is None and self.shutdown is not None:
            self._grace = self.system.loop.call_later(self.shutdown, self._cut_off)
        self._end_if_idle()

    def _cut_off(self) -> None:
        stopping = self.stopping
        if stopping is not None:
            stopping.drain = False
        self._cancel_grace()
        for interaction in tuple(self._running):
            if interaction.cancelled is None:
                reason = stopping.reason if stopping is not None else StopReason.SHUTDOWN
                interaction.begin_cancel(
                    ActorStoppedError(f"{self.path}: stopped before it answered", path=self.path, reason=reason)
                )
            elif interaction.task is not None:
                _log.warning("an interaction that must end swallows its cancellation", actor=self.path)
                interaction.interrupt("its agent must end")
        if self._running:
            self._grace = self.system.loop.call_later(_INSIST_EVERY, self._cut_off)

    def _cancel_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def _end_if_idle(self) -> None:
        """End now if that was asked for and no call runs any more."""
        if self._running or self._ending is not None:
            return
        stopping = self.stopping
        if self._suspending is not None or (stopping is not None and not (stopping.drain and self.depth)):
            reason = stopping.reason if stopping is not None else StopReason.SHUTDOWN
            self._end_with(reason)

    def _end_with(self, reason: StopReason | BaseException) -> None:
        self.state = STOPPING
        self._cancel_grace()
        if self.children:
            self._ending = self.system.loop.create_task(self._end_children(reason), context=Context())
        else:
            self._exit(reason)

    async def _end_children(self, reason: StopReason | BaseException) -> None:
        keeper, self.child_keeper = self.child_keeper, None
        if keeper is not None:
            await keeper.stop_all()
        await self.end_children()
        self._ending = None
        self._exit(reason)

    def _exit(self, reason: StopReason | BaseException) -> None:
        stopping, suspending = self.stopping, self._suspending
        self._suspending = None
        if suspending is not None and (stopping is None or stopping.judged):
            self.state = RESTARTING
            if stopping is not None:
                self.stopping = None
                stopping.ended._resolve(StopReason.SHUTDOWN)
        elif stopping is not None and stopping.judged and self.will_restart(reason):
            self.stopping = None
            stopping.ended._resolve(reason)
            self.state = RESTARTING
            assert self.keeper is not None  # it said that it restarts
            self.keeper.child_down(self, reason)
        elif stopping is None and isinstance(reason, BaseException):
            self._crashed(reason)
        else:
            self.ended(reason)
        if suspending is not None and not suspending.done():
            suspending.set_result(None)

    def _crashed(self, error: BaseException) -> None:
        self.system.events.publish(EventKind.CRASH, self.path, error=error)
        if self.keeper is None:
            self.resume(error, lambda _: None)
        elif self.will_restart(error):
            self.state = RESTARTING
            self.keeper.child_down(self, error)
        else:
            self.ended(error)

    def ended(self, reason: StopReason | BaseException) -> None:
        """It has ended for good."""
        self._works()
        self._cancel_grace()
        super().ended(reason)

    # What a supervisor asks of it

    def suspend(self) -> "asyncio.Future[None]":
        """End what runs, and keep mailbox and ref: its supervisor will start it again."""
        if self._suspending is None:
            self._suspending = self.system.loop.create_future()
            done = self._suspending
            if self.shutdown == 0:
                self._cut_off()
            elif self.shutdown is not None:
                self._grace = self.system.loop.call_later(self.shutdown, self._cut_off)
            self._end_if_idle()
            return done
        return self._suspending

    def resume(self, reason: StopReason | BaseException, on_started: Callable[[BaseException | None], None]) -> None:
        """Take calls again, behind the same mailbox."""
        self.on_started = on_started
        self.restarts += 1
        self.system.events.publish(EventKind.RESTART, self.path, reason=reason)
        self._go()

    def cancel_start(self) -> None:
        """Its start takes no time."""

    def finish(self, reason: StopReason | BaseException) -> None:
        """Its supervisor will not start it again."""
        if self.state is not STOPPED:
            self.ended(reason)

    def crash(self, error: BaseException) -> None:
        """Crash: the supervision of its children is used up."""
        if self.state in (STOPPED, STOPPING) or self._ending is not None:
            return
        self.failed(error)
        for interaction in tuple(self._running):
            interaction.begin_cancel(error)
        self._end_with(error)
