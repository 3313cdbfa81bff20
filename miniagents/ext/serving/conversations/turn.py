"""`Turn`: one request of a conversation, from the load of the messages before it to the save of the new ones."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from itertools import takewhile

import msgspec

from miniagents.agents import AgentCall, AgentRef, Interaction, MiniAgent, MiniAgents
from miniagents.ext.serving.conversations.conversation_agent import Instance
from miniagents.ext.serving.conversations.conversation_state import (
    ConversationState,
    agent_state_of,
    check_room,
    encoded,
    encoded_new,
    encoded_state,
    full,
    messages_of,
    new_state,
    state_of,
    with_more,
)
from miniagents.ext.serving.conversations.item_ids import Ids, ids_of_input, ids_of_replies
from miniagents.ext.serving.conversations.storing import Storing
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.reply_pieces import as_assistant
from miniagents.ext.serving.served_agent import Entry
from miniagents.messages import Message, MessagePromise, Messages, SystemMessage, encode
from miniagents.promising.promise import settled


class Live:
    """A conversation that is in use, or was in use not long ago.

    Attributes:
        lock: The lock of the turn under way.
        inside: The number of requests that have the turn or wait for it.
        instance: The instance of a class agent for this conversation, or None.
        revision: The saved revision whose state the instance has.
        timer: The timer that passivates the instance.
    """

    __slots__ = ("inside", "instance", "lock", "revision", "timer")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.inside = 0
        self.instance: Instance | None = None
        self.revision: str | None = None
        self.timer: asyncio.TimerHandle | None = None

    def forget_instance(self) -> None:
        """Stop the instance. The next turn makes a new one, with the saved state."""
        instance, self.instance = self.instance, None
        if instance is not None:
            instance.stop()


class Turn:
    """The turn of one request.

    Args:
        system: The system that runs the agents.
        store: The store of conversations.
        release: Ends the turn; see `Turns.release`.
        live: The conversation.
        entry: The agent of the request.
        key: The name of the key that owns the conversation.
        id: The id of the conversation.
        began: The time at which the request began to wait, on the loop's clock.

    Attributes:
        waited: Seconds that the request has waited.
        ids: The ids of the items of each message of the request; None to make new ones.
        is_over: Whether the next turn may begin.
    """

    def __init__(
        self,
        system: MiniAgents,
        store: Storing,
        release: "Callable[[Turn, Interaction | None, bool], None]",
        live: Live,
        entry: Entry,
        key: str,
        id: str,
        began: float,
    ) -> None:
        self._system = system
        self._store = store
        self._release = release
        self.live = live
        self._entry = entry
        self.key = key
        self.id = id
        self.waited = asyncio.get_running_loop().time() - began
        self.is_over = False
        self.ids: tuple[Ids, ...] | None = None
        self._state = ConversationState()
        self._limits = Limits()
        self._size = 0
        self._said: list[Message] = []
        self._new: list[bytes] = []  # the messages of the client, encoded
        self._revision: str | None = None

    async def load(self, limits: Limits) -> None:
        """Load the conversation.

        Raises:
            Problem: See `Turns.begin`.
        """
        self._limits = limits
        saved = await self._store.load(self.key, self.id)
        if saved is None:
            self._state = new_state()
            return
        self._state, self._revision, self._size = state_of(saved.data), saved.revision, len(saved.data)
        agent = self._state.agent
        if agent is not None and agent != self._entry.name:
            text = f"This conversation belongs to the agent {agent!r} (conversation)"
            raise Problem(409, text, param="conversation", code="conversation_of_another_agent", is_final=True)
        if len(self._state.said) >= limits.conversation_messages or self._size >= limits.conversation_bytes:
            raise full("This conversation has reached its limit")

    def target(self) -> MiniAgent | AgentRef:
        """Return the agent to call: for a class, the instance of this conversation.

        Raises:
            ActorStoppedError: There is no agent at the path.
        """
        target, live = self._entry.target(), self.live
        if not isinstance(target, MiniAgent) or not target.is_class:
            return target
        if live.instance is not None and live.revision != self._revision:
            live.forget_instance()  # another process has served a turn
        if live.instance is None:
            live.instance = Instance(target, self._system, agent_state_of(self._state))
            live.revision = self._revision
        return live.instance.agent

    def messages(self, request_messages: tuple[Message, ...] | None) -> tuple[Message, ...]:
        """Return the messages for the agent: first the instructions of this request, then the conversation so far, then
        the new messages.

        Args:
            request_messages: The messages of the request; None if they come later, one by one.

        Raises:
            Problem: 422: a message cannot be saved; 409: the conversation would be too long.
        """
        before = messages_of(self._state, self.id) if self._stateful is None else ()
        if request_messages is None:
            return before
        instructions = tuple(takewhile(lambda message: isinstance(message, SystemMessage), request_messages))
        conversation_messages = request_messages[len(instructions) :]
        for message in conversation_messages:
            self.add(message)  # before the agent has done anything
        return (*instructions, *before, *conversation_messages)

    def add(self, message: Message) -> None:
        """Add a message of the client, if the conversation has room. The replies of the agent always have room.

        Raises:
            Problem: 422: the message cannot be saved; 409: the conversation would be too long.
        """
        data = encoded_new(message)
        self._said.append(message)
        self._new.append(data)
        self._size += len(data)
        size = self._size if self._revision is not None else 0  # the first request always fits
        check_room(len(self._state.said) + len(self._new), size, self._limits)

    @property
    def _stateful(self) -> Instance | None:
        """Return the instance, if its class manages the state of the conversation itself."""
        instance = self.live.instance
        return instance if instance is not None and instance.has_state else None

    async def replies(
        self, interaction: Interaction, call: AgentCall | None, name: str
    ) -> AsyncGenerator[MessagePromise, None]:
        """Yield the replies of a call. The iteration ends after they are saved, and then the turn is over.

        Args:
            interaction: The call.
            call: The open end of the call; None if all its messages were there.
            name: The name of the run.
        """
        is_whole = False
        replies = interaction.replies
        try:
            async for promise in replies:
                promise.start()  # also without a reader
                yield promise
            await settled(replies)  # an `await` would ask for all of them at once, however slow the reader is
            messages = await replies
            if call is not None:
                call.finish()  # later messages are not part of this turn
            await self._save(messages, name)
            is_whole = True
        finally:
            self._release(self, interaction, is_whole)

    async def _save(self, replies: Messages, name: str) -> None:
        stateful = self._stateful
        messages = self._said
        asked = self.ids[len(self.ids) - len(messages) :] if self.ids is not None else ids_of_input(messages, name)
        ids = (*asked, *ids_of_replies(replies, name))
        state = msgspec.structs.replace(
            with_more(self._state, (*self._new, *encoded(as_assistant(replies))), ids),
            agent=self._entry.name,
            state=encoded_state(stateful.state) if stateful is not None else self._state.state,
        )
        revision = await self._store.save(self.key, self.id, encode(state), after=self._revision)
        if revision is None:
            text = "The conversation was changed or deleted meanwhile, so that this turn was not saved (conversation)"
            raise Problem(409, text, param="conversation", code="conversation_changed", is_final=True)
        self.live.revision = revision

    def give_up(self, interaction: Interaction | None = None) -> None:
        """End the turn without a save, if it has not ended yet.

        Args:
            interaction: The call, if there is one.
        """
        self._release(self, interaction, False)
