"""Runs: calls of agents on behalf of requests, with their usage."""

import asyncio
import math
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import HTTPConnection

from miniagents.actors.observing.request_id import current_request_id
from miniagents.agents import AgentCall, Interaction
from miniagents.errors import AgentArgumentError, MiniAgentsError
from miniagents.ext.llms.metering import Meter, current_meter
from miniagents.ext.serving.conversations.turn import Turn
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.reply_reading import Reading
from miniagents.ext.serving.http.request_headers import header
from miniagents.ext.serving.served_agent import Entry
from miniagents.messages import Message, MessageSequence, MessageSequencePromise
from miniagents.promising.flow import current_flow
from miniagents.promising.promise import settled


class Run:
    """A call of an agent on behalf of a client.

    Attributes:
        id: The name, which cannot be guessed.
        entry: The agent.
        key: The name of the key that made the request.
        call: The call.
        replies: The replies. They can be iterated several times.
        options: The options of the model's API that the client has given.
        request_id: The id of the request, or None.
        meter: The meter of all models below the call.
        reading: The size of the replies so far, and the positions of their readers.
        turn: The turn in a conversation, or None.

    Args:
        entry: The agent.
        key: The name of the key that made the request.
        call: The call.
        meter: The meter of all models below the call.
        reading: The size of the replies so far, and the positions of their readers.
        turn: The turn in a conversation, or None.
        id: The name; None for a new one.
    """

    __slots__ = (
        "_stopping",
        "call",
        "entry",
        "id",
        "key",
        "meter",
        "options",
        "reading",
        "replies",
        "request_id",
        "turn",
    )

    def __init__(
        self,
        entry: Entry,
        key: str,
        call: AgentCall,
        meter: Meter,
        reading: Reading,
        turn: Turn | None = None,
        id: str | None = None,
    ) -> None:
        self.id = id if id is not None else secrets.token_urlsafe(18)
        self.entry = entry
        self.key = key
        self.call = call
        replies: MessageSequencePromise = call.reply_sequence(finish_call=False)
        if turn is not None:  # the replies end when they are saved
            replies = MessageSequence.turn_into_sequence_promise(turn.replies(call, self.id), errors_as_messages=False)
        self.replies = replies
        self.meter = meter
        self.options: tuple[str, ...] = ()
        self.reading = reading
        self.turn = turn
        self.request_id = current_request_id.get()
        self._stopping: asyncio.Task[None] | None = None

    @property
    def interaction(self) -> Interaction:
        """The interaction of the call."""
        return self.call.interaction

    def cancel(self, reason: str) -> None:
        """Cancel the call, and all calls below it."""
        self.call.finish().reply_sequence().cancel(reason)

    def stop(self, error: MiniAgentsError) -> None:
        """Cut off the call, and all calls below it, with an error for the client."""
        for replies in (self.replies, self.call.finish().reply_sequence()):
            replies.mark_seen()  # the client may have disconnected, and then nobody awaits them
        self.interaction.cut_off(error)

    def when_stopped(self, callback: Callable[[], None]) -> None:
        """Call back when nothing of the call runs any more: cancelled work may need some time."""

        def settled(_: object) -> None:
            interaction = self.interaction
            if interaction.done() and not interaction.below:
                callback()
                return
            stopping = interaction.system.loop.create_task(_stopped(interaction))
            self._stopping = stopping  # the loop itself does not keep a reference to the task
            stopping.add_done_callback(lambda _: callback())

        self.replies.add_done_callback(settled)

    def ended(self) -> None:
        """End the turn: the replies have arrived, or never will, even if nobody has read them."""
        if self.turn is not None:
            self.turn.give_up(self.interaction)


class Runs:
    """The runs under way, by the numbers of their interactions.

    Args:
        limits: The limits of the size of a reply, and of its lead over the readers.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._runs: dict[int, Run] = {}

    def begin(
        self,
        entry: Entry,
        key: str,
        arguments: Mapping[str, Any],
        timeout: float | None,
        messages: tuple[Message, ...] | None,
        turn: Turn | None = None,
        id: str | None = None,
    ) -> Run:
        """Call an agent, if the call does not have to wait.

        Args:
            entry: The agent.
            key: The name of the key that made the request.
            arguments: The arguments, checked.
            timeout: Seconds until the deadline, or None.
            messages: All messages; None to leave the call open for more.
            turn: The turn in a conversation, or None.
            id: The name of the run; None for a new one.

        Raises:
            Problem: 422: the agent does not take these arguments; or see `Turn.messages`.
            MailboxFullError: The mailbox is full.
            ActorStoppedError: The agent has stopped, or is being restarted.
        """
        target = entry.target() if turn is None else turn.target()
        target.check_ready()
        sent = messages if turn is None else turn.messages(messages)
        meter = Meter()
        reading = Reading(
            self._limits.ahead,
            self._limits.reply,
            lambda problem: end_soon(call.interaction, problem),
            whose=repr(entry.name),
        )
        metering, flowing = current_meter.set(meter), current_flow.set(reading)
        try:
            call = target.initiate_call(timeout=timeout, errors_as_messages=False, kwargs=arguments)
            run = Run(entry, key, call, meter, reading, turn, id)
        except AgentArgumentError as error:  # of this call: inside an agent it would be a failure of the agent
            raise Problem(422, str(error), param="arguments", code="invalid_arguments") from None
        finally:
            current_meter.reset(metering)
            current_flow.reset(flowing)
        run.options = entry.options_in(arguments)
        run.interaction.replies.tap = reading.came
        if sent is not None:
            call.send_message(sent)
        if messages is not None:
            call.finish()
        number = run.interaction.id
        self._runs[number] = run
        run.replies.add_done_callback(lambda _: self._ended(number))
        return run

    def of(self, interaction: int) -> Run | None:
        """Return the run of an interaction; None if the interaction is not the call of a client."""
        return self._runs.get(interaction)

    def _ended(self, number: int) -> None:
        self._runs.pop(number).ended()

    def interactions(self) -> tuple[Interaction, ...]:
        """Return the interactions of all runs, also of those that have ended while their replies still arrive from
        below."""
        return tuple(run.interaction for run in self._runs.values())

    def __len__(self) -> int:
        return len(self._runs)

    def stop_all(self, error: MiniAgentsError) -> None:
        """Cut off all runs, with an error for their clients."""
        for run in tuple(self._runs.values()):
            run.stop(error)

    async def wait_idle(self) -> None:
        """Wait until no run is under way."""
        while self._runs:
            await settled(next(iter(self._runs.values())).replies)


def end_soon(interaction: Interaction, problem: Problem) -> None:
    """End a call whose replies are too large, and all calls below it. The loop interrupts its code at the next turn.

    Args:
        interaction: The call.
        problem: The problem for the client.
    """
    for call in (interaction, *interaction.below):  # once its replies have failed, the call has lost `below`
        call.system.loop.call_soon(call.begin_cancel, problem)


async def _stopped(interaction: Interaction) -> None:
    await interaction.wait_stopped()


def timeout_of(request: HTTPConnection, longest: float | None) -> float | None:
    """Return the seconds until the deadline of a request: the value of `X-Request-Timeout`, at most `longest`.

    Args:
        request: The request.
        longest: The limit of the service; None for no limit.

    Raises:
        Problem: 400: the header is not a number of seconds.
    """
    value = header(request.scope, b"x-request-timeout")
    if value is None:
        return longest
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise Problem(400, "X-Request-Timeout must be more than 0 seconds.", param="x-request-timeout", code="invalid")
    return seconds if longest is None else min(seconds, longest)
