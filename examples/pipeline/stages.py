"""The stages of the pipeline. Nodes import this module, so it defines all messages and actors that travel."""

import asyncio
import re
from pathlib import Path

import msgspec

from miniagents import Actor, ActorContext, ActorRef, Message, Request


class Fetch(Message):
    """The order to read one page."""

    name: str


class Page(Message):
    """One page as it was read."""

    name: str
    content: str


class Entry(Message):
    """One page as the index keeps it: its title, and its words, each once."""

    name: str
    title: str
    words: tuple[str, ...]


class Found(Message):
    """The titles of the pages that have a word, and the number of pages in the index."""

    titles: tuple[str, ...]
    pages: int


class Find(Request[Found]):
    """The question which pages have a word."""

    word: str


class Fetcher(Actor):
    """Reads pages from a folder.

    Args:
        parser: The next stage.
        folder: The folder, the same one on each node.
    """

    def __init__(self, parser: ActorRef, folder: str) -> None:
        self.parser = parser
        self.folder = folder

    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        """Read one page, and hand it on."""
        match message:
            case Fetch(name):
                content = await asyncio.to_thread((Path(self.folder) / name).read_text)
                # With an id a page that is read again, since a node was lost, is parsed once all the same.
                await self.parser.send(Page(name=name, content=content), message_id=name)
            case _:
                return ctx.unhandled(message)
        return None


class Parser(Actor):
    """Takes pages apart: the work that needs a core of its own.

    Args:
        index: The next stage.
    """

    def __init__(self, index: ActorRef) -> None:
        self.index = index

    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        """Find the title and the words of one page, and hand them on."""
        match message:
            case Page(name, content):
                title = content.partition("\n")[0].lstrip("# ")
                words = sorted(set(re.findall(r"[a-z]{3,}", content.lower())))
                await self.index.send(Entry(name=name, title=title, words=tuple(words)), message_id=name)
            case _:
                return ctx.unhandled(message)
        return None


class Pages(msgspec.Struct):
    """The state of the index."""

    titles: dict[str, str]
    words: dict[str, list[str]]


class Index(Actor):
    """Keeps the words of all pages. What it has is saved with each page, so it goes on after the loss of its node."""

    def __init__(self) -> None:
        self.pages = Pages({}, {})

    def snapshot(self) -> Pages:
        """Return what is saved."""
        return self.pages

    def restore(self, state: Pages) -> None:
        """Go on with what was saved."""
        self.pages = state

    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        """Keep one page, or answer a question."""
        match message:
            case Entry(name, title, words):
                self.pages.titles[name] = title
                for word in words:
                    self.pages.words.setdefault(word, []).append(name)
            case Find(word):
                names = self.pages.words.get(word, [])
                titles = tuple(sorted(self.pages.titles[name] for name in names))
                return Found(titles=titles, pages=len(self.pages.titles))
            case _:
                return ctx.unhandled(message)
        return None
