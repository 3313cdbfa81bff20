"""Runs: calls of agents on behalf of requests, with their usage."""

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import HTTPConnection

from miniagents.actors.observing.request_id import current_request_id
from miniagents.agents import AgentCall, AgentRef, Interaction, MiniAgent
from miniagents.agents.reply_promise import ReplyPromise
from miniagents.errors import AgentArgumentError, MiniAgentsError
from miniagents.ext.llms.metering import Meter, current_meter
from miniagents.ext.serving.conversations.item_ids import new_name
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
        interaction: The call.
        call: The open end of the call, which takes more messages; None if all were there.
        replies: The replies. They can be iterated several times.
        options: The options of the model's API that the client has given.
        request_id: The id of the request, or None.
        meter: The meter of all models below the call.
        reading: The size of the replies so far, and the positions of their readers.
        turn: The turn in a conversation, or None.

    Args:
        entry: The agent.
        key: The name of the key that made the request.
        interaction: The call.
        call: The open end of the call; None if all its messages were there.
        meter: The meter of all models below the call.
        reading: The size of the replies so far, and the positions of their readers.
        turn: The turn in a conversation, or None.
        id: The name; None for a new one.
    """

    __slots__ = (
        "_stopping",
        "_under_way",
        "_when_stopped",
        "call",
        "entry",
        "id",
        "interaction",
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
        interaction: Interaction,
        call: AgentCall | None,
        meter: Meter,
        reading: Reading,
        turn: Turn | None = None,
        id: str | None = None,
    ) -> None:
        self.id = id if id is not None else new_name()
        self.entry = entry
        self.key = key
        self.interaction = interaction
        self.call = call
        replies: MessageSequencePromise = interaction.replies
        if turn is not None:  # the replies end when they are saved
            saved = turn.replies(interaction, call, self.id)
            replies = MessageSequence.turn_into_sequence_promise(saved, errors_as_messages=False)
        self.replies = replies
        self.meter = meter
        self.options: tuple[str, ...] = ()
        self.reading = reading
        self.turn = turn
        self.request_id = current_request_id.get()
        self._stopping: asyncio.Task[None] | None = None
        self._when_stopped: Callable[[], None] | None = None
        self._under_way: dict[int, Run] = {}

    def cancel(self, reason: str) -> None:
        """Cancel the call, and all calls below it. Nothing happens if it has ended."""
        if self.call is not None:
            self.call.finish()
        self.interaction.replies.cancel(reason)

    def leave(self) -> None:
        """Cancel the call, since the client has disconnected."""
        self.cancel("the client went away")

    def stop(self, error: MiniAgentsError) -> None:
        """Cut off the call, and all calls below it, with an error for the client."""
        if self.call is not None:
            self.call.finish()
        for replies in (self.replies, self.interaction.replies):
            replies.mark_seen()  # the client may have disconnected, and then nobody awaits them
        self.interaction.cut_off(error)

    def when_stopped(self, callback: Callable[[], None]) -> None:
        """Call back once, when nothing of the call runs any more: cancelled work may need some time."""
        self._when_stopped = callback
        self.replies.add_done_callback(self._settled)

    def _settled(self, _: object) -> None:
        interaction = self.interaction
        if interaction.done() and not interaction.below:
            self._stopped()
            return
        self._stopping = interaction.system.loop.create_task(_wait_stopped(interaction))  # the loop keeps no reference
        self._stopping.add_done_callback(self._stopped)

    def _stopped(self, _: object = None) -> None:
        callback, self._stopping, self._when_stopped = self._when_stopped, None, None
        if callback is not None:
            callback()

    def enter(self, under_way: "dict[int, Run]") -> None:
        """Be one of the runs under way until the replies have settled. Then the turn ends, read or not.

        Args:
            under_way: The runs under way, by the numbers of their interactions.
        """
        under_way[self.interaction.id] = self
        self._under_way = under_way
        self.replies.add_done_callback(self._ended)

    def _ended(self, _: object) -> None:
        del self._under_way[self.interaction.id]
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
            lambda problem: end_soon(interaction, problem),
            whose=repr(entry.name),
        )
        metering, flowing = current_meter.set(meter), current_flow.set(reading)
        try:
            if messages is None:
                call = target.initiate_call(timeout=timeout, errors_as_messages=False, kwargs=arguments)
                interaction = call.interaction
            else:
                call, interaction = None, _asked(target, sent or (), timeout, arguments)
            interaction.replies.tap = reading.came
            run = Run(entry, key, interaction, call, meter, reading, turn, id)
            if call is None:
                interaction.replies.start()
            elif sent is not None:
                call.send_message(sent)
        except AgentArgumentError as error:  # of this call: inside an agent it would be a failure of the agent
            raise Problem(422, str(error), param="arguments", code="invalid_arguments") from None
        finally:
            current_meter.reset(metering)
            current_flow.reset(flowing)
        run.options = entry.options_in(arguments)
        run.enter(self._runs)
        return run

    def of(self, interaction: int) -> Run | None:
        """Return the run of an interaction; None if the interaction is not the call of a client."""
        return self._runs.get(interaction)

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


def _asked(
    target: MiniAgent | AgentRef, messages: tuple[Message, ...], timeout: float | None, arguments: Mapping[str, Any]
) -> Interaction:
    """Make a call with all its messages, which `replies.start()` begins."""
    replies = target.inquire(
        messages[0] if len(messages) == 1 else messages,  # one needs no sequence
        timeout=timeout,
        start_soon=False,
        errors_as_messages=False,
        kwargs=arguments,
    )
    assert isinstance(replies, ReplyPromise)  # `inquire` promises the replies of one call
    interaction: Interaction | None = replies.interaction
    assert interaction is not None  # the call has not begun
    return interaction


def end_soon(interaction: Interaction, problem: Problem) -> None:
    """End a call whose replies are too large, and all calls below it. The loop interrupts its code at the next turn.

    Args:
        interaction: The call.
        problem: The problem for the client.
    """
    for call in (interaction, *interaction.below):  # once its replies have failed, the call has lost `below`
        call.system.loop.call_soon(call.begin_cancel, problem)


async def _wait_stopped(interaction: Interaction) -> None:
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
