"""`Conversation`: the messages of a call of an LLM agent, as its requests send them."""

from collections.abc import Sequence

from miniagents.ext.llms.history_repair import well_formed, with_own_ids
from miniagents.ext.llms.messages import ReplyMessage
from miniagents.ext.llms.sound import sound_message
from miniagents.messages import Message


class Conversation:
    """The messages of one call of an agent, repaired so that every provider accepts them.

    Each message is repaired once, when it is added.

    Args:
        received: The messages that the conversation begins with.

    Attributes:
        messages: All messages so far. A request holds this tuple itself and no copy of it.
        repairs: A description of each repair of the received messages.

    Example:
        >>> from miniagents import UserMessage
        >>> conversation = Conversation([UserMessage("Hi")])
        >>> conversation.add(UserMessage("Are you there?"))
        >>> [str(message) for message in conversation.messages]
        ['Hi', 'Are you there?']
    """

    __slots__ = ("messages", "repairs")

    def __init__(self, received: Sequence[Message]) -> None:
        repaired, self.repairs = well_formed(received)
        self.messages: tuple[Message, ...] = tuple(map(sound_message, repaired))

    def add(self, *messages: Message) -> None:
        """Add messages without calls of own tools."""
        self.messages += tuple(map(sound_message, messages))

    def add_turn(self, reply: ReplyMessage, results: Sequence[Message]) -> None:
        """Add a reply that calls tools, with the results of its calls.

        Args:
            reply: The reply.
            results: One result for each call, in the order of the calls.
        """
        taken = {
            call.id for message in self.messages if isinstance(message, ReplyMessage) for call in message.tool_calls
        }
        # The ids first: that makes texts of other alphabets plain, so that two ids never become one.
        self.messages += tuple(map(sound_message, with_own_ids((reply, *results), taken, [])))
