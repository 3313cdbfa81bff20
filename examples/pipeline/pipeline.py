"""The pipeline: its three stages on three nodes, and the way of the pages through them."""

import asyncio
from collections.abc import Iterable

from examples.pipeline.stages import Fetch, Fetcher, Find, Found, Index, Parser
from miniagents import ActorRef, ActorStoppedError, MiniAgents, SpawnOptions

NODES = ("node-1", "node-2", "node-3")


class Pipeline:
    """Three durable stages, each on a node of its own. Each hands its results to the next one, by way of the journal.

    Args:
        fetcher: The first stage.
        index: The last stage.
    """

    def __init__(self, fetcher: ActorRef, index: ActorRef) -> None:
        self.fetcher = fetcher
        self.index = index

    @classmethod
    async def start(cls, system: MiniAgents, folder: str) -> "Pipeline":
        """Start the stages, the last one first, since each is given the next one.

        Args:
            system: A system with a cluster of the nodes `NODES`, and a journal.
            folder: The folder of the pages, which each node can read.
        """
        first, second, third = (SpawnOptions(durable=True, node=node) for node in NODES)
        index = system.spawn(Index, name="index", options=third)
        await index.started()  # an actor of another node may be given the reference from now on
        parser = system.spawn(Parser, name="parser", options=second, index=index)
        await parser.started()
        fetcher = system.spawn(Fetcher, name="fetcher", options=first, parser=parser, folder=folder)
        return cls(fetcher, index)

    async def feed(self, names: Iterable[str]) -> None:
        """Order pages. The call returns once the orders are in the journal, whatever becomes of the nodes.

        Args:
            names: The names of the pages, relative to the folder; one that was ordered before is not read again.
        """
        for name in names:
            await self.fetcher.send(Fetch(name=name), message_id=name)

    async def find(self, word: str, pages: int) -> Found:
        """Ask for a word, until so many pages are in the index.

        Args:
            word: The word, in lower-case letters.
            pages: The number of pages to wait for.
        """
        while True:
            try:
                found = await self.index.ask(Find(word=word))
            except ActorStoppedError:
                pass  # its node was lost: the index comes back on another one, with all that it has kept
            else:
                if found.pages >= pages:
                    return found
            await asyncio.sleep(0.05)
