"""An actor for other nodes of a cluster: it must be importable, so it is in a module and not in the script."""

from miniagents import Actor, ActorContext, DataMessage, Message


class WordCounter(Actor):
    """Counts the words of all texts that it has got."""

    def __init__(self) -> None:
        self.words = 0

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        """Count the words of one more text.

        Returns:
            The number of words so far, and the node that counts them.
        """
        self.words += len(str(message).split())
        return DataMessage({"words": self.words, "node": ctx.self.node})
