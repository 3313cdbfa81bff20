"""`Turn`: one request of a conversation, from what was said before it to what is saved after it."""

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

    def forget_instance(self) -> None:
        """The next turn gets a fresh instance, with the state that was saved."""
        instance, self.instance = self.instance, None
        if instance is not None:
            instance.stop()


class Turn:
    """The turn of one request.

    Args:
        system: Where agents live.
        store: Where conversations are kept.
        release: Ends the turn; see `Turns.release`.
        live: The conversation.
        entry: Which agent it speaks to.
        key: Whose it is.
        id: Its id.
        began: When the request began to wait, on the loop's clock.

    Attributes:
        waited: Seconds that the request has waited.
        ids: The ids of the items of what the request says, for each of its messages; None to make them.
        is_over: Whether the next one may begin.
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
        self._new: list[bytes] = []  # what the client sends, as it will be saved
        self._revision: str | None = None

    async def load(self, limits: Limits) -> None:
        """Get what was saved.

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
            text = f"This is a conversation with {agent!r} (conversation)"
            raise Problem(409, text, param="conversation", code="conversation_of_another_agent", is_final=True)
        if len(self._state.said) >= limits.conversation_messages or self._size >= limits.conversation_bytes:
            raise full("This conversation is as long as it may become")

    def target(self) -> MiniAgent | AgentRef:
        """Whom to call: of a class, an instance for this conversation alone.

        Raises:
            ActorStoppedError: There is nobody at the path.
        """
        target, live = self._entry.target(), self.live
        if not isinstance(target, MiniAgent) or not target.is_class:
            return target
        if live.instance is not None and live.revision != self._revision:
            live.forget_instance()  # another process went on with it
        if live.instance is None:
            live.instance = Instance(target, self._system, agent_state_of(self._state))
            live.revision = self._revision
        return live.instance.agent

    def messages(self, given: tuple[Message, ...] | None) -> tuple[Message, ...]:
        """What the agent gets: instructions of this request first, then what was said before, then what is new.

        Args:
            given: What the request says; None if that comes later, and after what was said before.

        Raises:
            Problem: 422: something in it cannot be saved; 409: the conversation would become too long.
        """
        before = messages_of(self._state, self.id) if self._stateful is None else ()
        if given is None:
            return before
        instructions = tuple(takewhile(lambda message: isinstance(message, SystemMessage), given))
        said = given[len(instructions) :]
        for message in said:
            self.add(message)  # before the agent has done anything
        return (*instructions, *before, *said)

    def add(self, message: Message) -> None:
        """Make room for a message that the client sends. What the agent replies finds room always.

        Raises:
            Problem: 422: it cannot be saved; 409: the conversation would become too long.
        """
        data = encoded_new(message)
        self._said.append(message)
        self._new.append(data)
        self._size += len(data)
        size = self._size if self._revision is not None else 0  # the first one always fits
        check_room(len(self._state.said) + len(self._new), size, self._limits)

    @property
    def _stateful(self) -> Instance | None:
        """The instance, if what was said before is its own affair."""
        instance = self.live.instance
        return instance if instance is not None and instance.has_state else None

    async def replies(self, call: AgentCall, name: str) -> AsyncGenerator[MessagePromise, None]:
        """The replies of a call; they end when they are saved, and then the turn is over.

        Args:
            call: The call.
            name: The name of its run.
        """
        is_whole = False
        replies = call.reply_sequence(finish_call=False)
        try:
            async for promise in replies:
                promise.start()  # also where nobody reads it
                yield promise
            await settled(replies)  # to await them would be to want all of them, whoever reads them how slowly
            messages = await replies
            call.finish()  # nothing more is part of this turn
            await self._save(messages, name)
            is_whole = True
        finally:
            self._release(self, call.interaction, is_whole)

    async def _save(self, replies: Messages, name: str) -> None:
        stateful = self._stateful
        said = self._said
        asked = self.ids[len(self.ids) - len(said) :] if self.ids is not None else ids_of_input(said, name)
        ids = (*asked, *ids_of_replies(replies, name))
        kept = msgspec.structs.replace(
            with_more(self._state, (*self._new, *encoded(as_assistant(replies))), ids),
            agent=self._entry.name,
            state=encoded_state(stateful.state) if stateful is not None else self._state.state,
        )
        revision = await self._store.save(self.key, self.id, encode(kept), after=self._revision)
        if revision is None:
            text = "The conversation was changed, or deleted, meanwhile: this turn is not in it (conversation)"
            raise Problem(409, text, param="conversation", code="conversation_changed", is_final=True)
        self.live.revision = revision

    def give_up(self, interaction: Interaction | None = None) -> None:
        """The turn is over, if it is not yet, and nothing is saved.

        Args:
            interaction: The call, if there is one.
        """
        self._release(self, interaction, False)
