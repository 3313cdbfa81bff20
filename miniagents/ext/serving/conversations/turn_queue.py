"""Turns: the requests of one conversation are served one after the other."""

import asyncio
from collections.abc import Callable
from functools import partial

from starlette.requests import HTTPConnection

from miniagents.agents import Interaction, MiniAgents
from miniagents.ext.serving.conversations.conversation_state import ConversationState, check_room, state_of
from miniagents.ext.serving.conversations.conversations import ConversationStore
from miniagents.ext.serving.conversations.storing import Storing
from miniagents.ext.serving.conversations.turn import Live, Turn
from miniagents.ext.serving.http.disconnect import acquire
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.served_agent import Entry
from miniagents.messages import encode


class Turns:
    """The turns of all conversations.

    Args:
        system: The system that runs the agents.
        store: The store of conversations.
        idle: Seconds without a request after which the agent of a conversation is passivated.
        limits: The limits of waiting requests and of the length of a conversation.
    """

    def __init__(self, system: MiniAgents, store: ConversationStore, *, idle: float, limits: Limits) -> None:
        self.system = system
        self.store = Storing(store)
        self._idle = idle
        self._limits = limits
        self._live: dict[tuple[str, str], Live] = {}
        self._idle_of: dict[str, dict[str, None]] = {}
        self._releasing: set[asyncio.Task[None]] = set()

    async def begin(self, request: HTTPConnection, entry: Entry, key: str, id: str, timeout: float | None) -> "Turn":
        """Wait for the turn of a request.

        Args:
            request: The request.
            entry: The agent.
            key: The name of the key that owns the conversation.
            id: The id of the conversation.
            timeout: Seconds to wait; None for no limit.

        Raises:
            Problem: 409: the conversation is full, or belongs to another agent; 429: too many requests wait already;
                504: the turn did not come in time.
            ClientDisconnect: The client has disconnected meanwhile.
        """
        live, began = await self._enter(request, key, id, timeout)
        try:
            turn = Turn(self.system, self.store, self.release, live, entry, key, id, began)
            await turn.load(self._limits)
        except BaseException:
            self._exit(key, id, live)
            raise
        return turn

    async def change(
        self,
        request: HTTPConnection,
        key: str,
        id: str,
        change: Callable[[ConversationState], ConversationState],
        timeout: float | None,
    ) -> ConversationState | None:
        """Change a saved conversation between two turns. The instance of its agent stays.

        Args:
            request: The request.
            key: The name of the key that owns the conversation.
            id: The id of the conversation.
            change: Returns the new state. It may raise a `Problem`.
            timeout: Seconds to wait for the turn; None for no limit.

        Returns:
            The new state; None if there is no such conversation.

        Raises:
            Problem: See `begin`; 409: the conversation would be too long, or another process has changed it meanwhile.
        """
        live, _ = await self._enter(request, key, id, timeout)
        try:
            saved = await self.store.load(key, id)
            if saved is None:
                return None
            state = state_of(saved.data)
            changed = change(state)
            data = encode(changed)
            if len(changed.said) > len(state.said):
                check_room(len(changed.said), len(data), self._limits)
            revision = await self.store.save(key, id, data, after=saved.revision)
            if revision is None:
                text = "The conversation was changed or deleted meanwhile (conversation)"
                raise Problem(409, text, param="conversation", code="conversation_changed", is_final=True)
            if live.revision == saved.revision:
                live.revision = revision
            return changed
        finally:
            self._exit(key, id, live)

    async def _enter(self, request: HTTPConnection, key: str, id: str, timeout: float | None) -> tuple[Live, float]:
        """Wait for the lock of a conversation.

        Returns:
            The conversation, and the time at which the request began to wait, on the loop's clock.
        """
        live = self._live.get((key, id))
        if live is None:
            live = self._live[key, id] = Live()
        waiting = self._limits.conversation_waiting
        if live.inside > waiting:
            text = f"{waiting} requests wait in this conversation already."
            raise Problem(429, text, param="conversation", code="conversation_busy", retry_after=1.0)
        live.inside += 1
        self._works(key, id, live)
        try:
            loop = asyncio.get_running_loop()
            began = loop.time()
            if live.inside == 1:  # with others inside, a free lock belongs to the first that waits
                await live.lock.acquire()
            else:
                await acquire(request, live.lock, timeout)
        except BaseException:
            self._leave(key, id, live)
            raise
        return live, began

    def _exit(self, key: str, id: str, live: Live) -> None:
        """Release the lock: the next request may have its turn."""
        live.lock.release()
        self._leave(key, id, live)

    def release(self, turn: "Turn", interaction: Interaction | None, is_whole: bool) -> None:
        """End a turn. The next turn begins when nothing of this one runs any more. A second call does nothing."""
        if turn.is_over:
            return
        turn.is_over = True
        if not is_whole:
            turn.live.forget_instance()
        if interaction is None or is_whole:
            self._release(turn)
            return
        ending = asyncio.create_task(_end(interaction))
        self._releasing.add(ending)
        ending.add_done_callback(partial(self._released, turn))

    def _released(self, turn: "Turn", ending: "asyncio.Task[None]") -> None:
        self._releasing.discard(ending)
        self._release(turn)

    def _release(self, turn: "Turn") -> None:
        self._exit(turn.key, turn.id, turn.live)

    def _leave(self, key: str, id: str, live: Live) -> None:
        live.inside -= 1
        if live.inside:
            return
        if self._live.get((key, id)) is not live:
            live.forget_instance()  # the service has ended meanwhile
        elif live.instance is None:
            self._passivate(key, id)
        else:
            idle = self._idle_of.setdefault(key, {})
            idle[id] = None
            live.timer = asyncio.get_running_loop().call_later(self._idle, self._passivate, key, id)
            if len(idle) > self._limits.instances:
                self._passivate(key, next(iter(idle)))

    def _works(self, key: str, id: str, live: Live) -> None:
        """Mark a conversation as in use: stop its idle timer."""
        if live.timer is not None:
            live.timer.cancel()
            live.timer = None
            idle = self._idle_of[key]
            del idle[id]
            if not idle:
                del self._idle_of[key]

    def _passivate(self, key: str, id: str) -> None:
        live = self._live.pop((key, id))
        self._works(key, id, live)
        live.forget_instance()

    async def delete(self, key: str, id: str) -> bool:
        """Delete a conversation, and return whether it existed. A turn that is under way continues, and is not
        saved."""
        was_there = await self.store.delete(key, id)
        live = self._live.get((key, id))
        if live is not None and not live.inside:
            self._passivate(key, id)
        return was_there

    async def end(self) -> None:
        """Close the store: the service has ended."""
        if self._releasing:
            await asyncio.wait(self._releasing)
        for live in self._live.values():
            if live.timer is not None:
                live.timer.cancel()
        self._live.clear()
        self._idle_of.clear()
        await self.store.close()


async def _end(interaction: Interaction) -> None:
    await interaction.cancel("its turn is over")
