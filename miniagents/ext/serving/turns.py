"""Turns: requests of one conversation are served one after the other, each with what was said before it."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import takewhile

from starlette.requests import HTTPConnection

from miniagents.ext.serving.conversation_state import ConversationState, check_saveable, new_state, state_of
from miniagents.ext.serving.conversations import ConversationStore
from miniagents.ext.serving.instances import Instance
from miniagents.ext.serving.limits import Limits
from miniagents.ext.serving.problems import Problem
from miniagents.ext.serving.served import Entry
from miniagents.ext.serving.waiting import acquire
from miniagents.messages import DataMessage, Message, MessagePromise, Messages, SystemMessage, encode
from miniagents.miniagents import AgentCall, AgentRef, Interaction, MiniAgent, MiniAgents


class _Live:
    """A conversation that is in use, or was so not long ago.

    Attributes:
        lock: Whoever has it has the turn.
        inside: How many have the turn or wait for it.
        instance: The instance of a class that it has for itself, or None.
        revision: The revision that the instance stands at.
        timer: Passivates it.
    """

    __slots__ = ("inside", "instance", "lock", "revision", "timer")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.inside = 0
        self.instance: Instance | None = None
        self.revision: str | None = None
        self.timer: asyncio.TimerHandle | None = None


class Turns:
    """Gives each request of a conversation its turn.

    Args:
        system: Where agents live.
        store: Where conversations are kept.
        idle: Seconds without a request after which the agent of a conversation is passivated.
        limits: How many may wait for their turn, and how long a conversation may become.
    """

    def __init__(self, system: MiniAgents, store: ConversationStore, *, idle: float, limits: Limits) -> None:
        self.system = system
        self.store = store
        self._idle = idle
        self._limits = limits
        self._live: dict[tuple[str, str], _Live] = {}
        self._releasing: set[asyncio.Task[None]] = set()

    async def begin(self, request: HTTPConnection, entry: Entry, key: str, id: str, timeout: float | None) -> "Turn":
        """Wait for the turn of a request.

        Raises:
            Problem: 409: the conversation is full, or that of another agent; 429: too many wait already; 504:
                its turn did not come in time.
            ClientDisconnect: The client has gone meanwhile.
        """
        live = self._live.get((key, id))
        if live is None:
            live = self._live[key, id] = _Live()
        waiting = self._limits.conversation_waiting
        if live.inside > waiting:
            text = f"{waiting} requests wait in this conversation already."
            raise Problem(429, text, param="conversation", code="conversation_busy", retry_after=1.0)
        live.inside += 1
        if live.timer is not None:
            live.timer.cancel()
            live.timer = None
        try:
            loop = asyncio.get_running_loop()
            began = loop.time()
            await acquire(request, live.lock, timeout)
            try:
                turn = Turn(self, live, entry, key, id, began)
                await turn.load(self._limits)
            except BaseException:
                live.lock.release()
                raise
        except BaseException:
            self._leave(key, id, live)
            raise
        return turn

    def release(self, turn: "Turn", interaction: Interaction | None, *, is_whole: bool) -> None:
        """A turn is over: the next one begins, once nothing of this one runs any more. Once is enough."""
        if turn.is_over:
            return
        turn.is_over = True
        if not is_whole:
            self.forget_instance(turn.live)
        if interaction is None or is_whole:
            self._release(turn)
            return
        ending = asyncio.create_task(self._release_after(turn, interaction))
        self._releasing.add(ending)
        ending.add_done_callback(self._releasing.discard)

    async def _release_after(self, turn: "Turn", interaction: Interaction) -> None:
        try:
            await interaction.cancel("its turn is over")
        finally:
            self._release(turn)

    def _release(self, turn: "Turn") -> None:
        turn.live.lock.release()
        self._leave(turn.key, turn.id, turn.live)

    def _leave(self, key: str, id: str, live: _Live) -> None:
        live.inside -= 1
        if live.inside:
            return
        if live.instance is None:
            self._passivate(key, id)
        else:
            live.timer = asyncio.get_running_loop().call_later(self._idle, self._passivate, key, id)

    def _passivate(self, key: str, id: str) -> None:
        self.forget_instance(self._live.pop((key, id)))

    def forget_instance(self, live: _Live) -> None:
        """The next turn gets a fresh instance, with the state that was saved."""
        instance, live.instance = live.instance, None
        if instance is not None:
            instance.stop()

    async def delete(self, key: str, id: str) -> bool:
        """Forget a conversation. A turn that is under way goes on, and is not saved."""
        was_there = await self.store.delete(key, id)
        live = self._live.get((key, id))
        if live is not None and not live.inside and live.timer is not None:
            live.timer.cancel()
            self._passivate(key, id)
        return was_there

    async def end(self) -> None:
        """The service has ended: nothing is in use any more."""
        if self._releasing:
            await asyncio.wait(self._releasing)
        for live in self._live.values():
            if live.timer is not None:
                live.timer.cancel()
        self._live.clear()
        await self.store.close()


class Turn:
    """The turn of one request.

    Args:
        turns: All of them.
        live: The conversation.
        entry: Which agent it speaks to.
        key: Whose it is.
        id: Its id.
        began: When the request began to wait, on the loop's clock.

    Attributes:
        waited: Seconds that the request has waited.
        is_over: Whether the next one may begin.
    """

    def __init__(self, turns: Turns, live: _Live, entry: Entry, key: str, id: str, began: float) -> None:
        self._turns = turns
        self.live = live
        self._entry = entry
        self.key = key
        self.id = id
        self.waited = asyncio.get_running_loop().time() - began
        self.is_over = False
        self._state = ConversationState()
        self._revision: str | None = None
        self._said: tuple[Message, ...] | None = ()
        self._before = 0

    async def load(self, limits: Limits) -> None:
        """Get what was saved.

        Raises:
            Problem: See `Turns.begin`.
        """
        saved = await self._turns.store.load(self.key, self.id)
        if saved is None:
            self._state = new_state()
            return
        self._state, self._revision = state_of(saved.data), saved.revision
        agent = self._state.agent
        if agent is not None and agent != self._entry.name:
            text = f"This is a conversation with {agent!r} (conversation)"
            raise Problem(409, text, param="conversation", code="conversation_of_another_agent", is_final=True)
        if len(self._state.messages) >= limits.conversation_messages or len(saved.data) >= limits.conversation_bytes:
            text = "This conversation is as long as it may become (conversation)"
            raise Problem(409, text, param="conversation", code="conversation_full", is_final=True)

    def target(self) -> MiniAgent | AgentRef:
        """Whom to call: of a class, an instance for this conversation alone.

        Raises:
            ActorStoppedError: There is nobody at the path.
        """
        target, live = self._entry.target(), self.live
        if not isinstance(target, MiniAgent) or not target.is_class:
            return target
        if live.instance is not None and live.revision != self._revision:
            self._turns.forget_instance(live)  # another process went on with it
        if live.instance is None:
            live.instance = Instance(target, self._turns.system, self._state.state)
            live.revision = self._revision
        return live.instance.agent

    def messages(self, given: tuple[Message, ...] | None) -> tuple[Message, ...]:
        """What the agent gets: instructions of this request first, then what was said before, then what is new.

        Args:
            given: What the request says; None if that comes later, and after what was said before.

        Raises:
            Problem: 422: something in it cannot be saved.
        """
        before = self._state.messages if self._stateful is None else ()
        if given is None:
            self._said, self._before = None, len(before)
            return before
        instructions = tuple(takewhile(lambda message: isinstance(message, SystemMessage), given))
        self._said = given[len(instructions) :]
        for message in self._said:
            if isinstance(message, DataMessage):
                check_saveable(message)  # before the agent has done anything
        return (*instructions, *before, *self._said)

    @property
    def _stateful(self) -> Instance | None:
        """The instance, if what was said before is its own affair."""
        instance = self.live.instance
        return instance if instance is not None and instance.has_state else None

    async def replies(self, call: AgentCall) -> AsyncGenerator[MessagePromise, None]:
        """The replies of a call; they end when they are saved, and then the turn is over."""
        is_whole = False
        replies = call.reply_sequence(finish_call=False)
        try:
            async for promise in replies:
                yield promise
            messages = await replies
            if self._said is None:
                sent: Messages = await call.finish().interaction.message_promises
                self._said = sent[self._before :]
            await self._save(self._said, messages)
            is_whole = True
        finally:
            self._turns.release(self, call.interaction, is_whole=is_whole)

    async def _save(self, said: tuple[Message, ...], replies: Messages) -> None:
        stateful = self._stateful
        kept = ConversationState(
            created_at=self._state.created_at,
            agent=self._entry.name,
            labels=self._state.labels,
            messages=(*self._state.messages, *said, *replies),
            state=stateful.state if stateful is not None else self._state.state,
        )
        revision = await self._turns.store.save(self.key, self.id, encode(kept), after=self._revision)
        if revision is None:
            text = "The conversation was changed, or deleted, meanwhile: this turn is not in it (conversation)"
            raise Problem(409, text, param="conversation", code="conversation_changed", is_final=True)
        self.live.revision = revision

    def give_up(self) -> None:
        """There is no call: the turn is over."""
        self._turns.release(self, None, is_whole=False)
