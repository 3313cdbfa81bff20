"""Runs: calls of agents on behalf of requests, and what they use."""

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
from miniagents.ext.serving.served_agent import Entry
from miniagents.messages import Message, MessageSequence, MessageSequencePromise
from miniagents.promising.flow import current_flow
from miniagents.promising.promise import settled

_TIMEOUT = "x-request-timeout"


class Run:
    """One call of an agent on behalf of a client.

    Attributes:
        id: A name for it that cannot be guessed.
        entry: What is called.
        key: Whose it is.
        call: The call.
        replies: Its replies; they can be iterated again and again.
        options: The options of the API call that the client has given.
        request_id: The id of the request that began it, or None.
        meter: What all models below it use.
        reading: What came of its replies, and how far its readers are.
        turn: Its turn in a conversation, or None.

    Args:
        entry: What is called.
        key: Whose it is.
        call: The call.
        meter: What all models below it use.
        reading: What came of its replies, and how far its readers are.
        turn: Its turn in a conversation, or None.
        id: Its name; None to make one.
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
        if turn is not None:  # what it replied has come when it is saved
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
        """The call at work."""
        return self.call.interaction

    def cancel(self, reason: str) -> None:
        """Ask for its end, and that of everything below it."""
        self.call.finish().reply_sequence().cancel(reason)

    def stop(self, error: MiniAgentsError) -> None:
        """Ask for its end in the same way; its client gets the error."""
        for replies in (self.replies, self.call.finish().reply_sequence()):
            replies.mark_seen()  # a client that has gone need not be told
        self.interaction.cut_off(error)

    def when_stopped(self, callback: Callable[[], None]) -> None:
        """Call back once nothing of it runs any more: what is cancelled may take its time."""

        def settled(_: object) -> None:
            interaction = self.interaction
            if interaction.done() and not interaction.below:
                callback()
                return
            stopping = interaction.system.loop.create_task(_stopped(interaction))
            self._stopping = stopping  # the loop itself does not keep it alive
            stopping.add_done_callback(lambda _: callback())

        self.replies.add_done_callback(settled)

    def ended(self) -> None:
        """Its replies have come, or never will: so its turn is over, also where it was never taken."""
        if self.turn is not None:
            self.turn.give_up(self.interaction)


class Runs:
    """The runs that are under way, by interaction.

    Args:
        limits: How large a reply may be, and how far it may be ahead of its readers.
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
        """Call an agent, if that does not have to wait.

        Args:
            entry: Whom.
            key: Whose request it is.
            arguments: The arguments, checked.
            timeout: Seconds until its deadline, or None.
            messages: All messages; None to leave the call open for more.
            turn: Its turn in a conversation, or None.
            id: The name of the run; None to make one.

        Raises:
            Problem: 422: it does not take these arguments; or see `Turn.messages`.
            MailboxFullError: The mailbox is full.
            ActorStoppedError: The agent is not there, or is being restarted.
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
        except AgentArgumentError as error:  # of this call: inside of an agent it is a failure of the agent's
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
        """The run of an interaction, or None if it is no client's own."""
        return self._runs.get(interaction)

    def _ended(self, number: int) -> None:
        self._runs.pop(number).ended()

    def interactions(self) -> tuple[Interaction, ...]:
        """The interactions of all, also of those that have ended while their replies still come from below."""
        return tuple(run.interaction for run in self._runs.values())

    def __len__(self) -> int:
        return len(self._runs)

    def stop_all(self, error: MiniAgentsError) -> None:
        """Ask for the end of all; their clients get the error."""
        for run in tuple(self._runs.values()):
            run.stop(error)

    async def wait_idle(self) -> None:
        """Wait until none is under way."""
        while self._runs:
            await settled(next(iter(self._runs.values())).replies)


def end_soon(interaction: Interaction, problem: Problem) -> None:
    """End a call that talks too much, and all below it. Its code is not interrupted by itself, but by the loop."""
    for one in (interaction, *interaction.below):  # once its replies have failed it does not know them any more
        one.system.loop.call_soon(one.begin_cancel, problem)


async def _stopped(interaction: Interaction) -> None:
    await interaction.wait_stopped()


def timeout_of(request: HTTPConnection, most: float | None) -> float | None:
    """Seconds until a request's deadline: what `X-Request-Timeout` says, and `most` at most.

    Raises:
        Problem: 400: the header is no number of seconds.
    """
    given = request.headers.get(_TIMEOUT)
    if given is None:
        return most
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise Problem(400, "X-Request-Timeout is a number of seconds, more than 0.", param=_TIMEOUT, code="invalid")
    return seconds if most is None else min(seconds, most)
