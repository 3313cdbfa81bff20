"""What is seen while the swarm runs: the supervision tree, live, or plain lines where there is no terminal."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from miniagents import ActorInfo, MiniAgents


class Screen(Protocol):
    """Where progress and answer are shown. It is open inside `with`."""

    def say(self, line: str) -> None:
        """A line of progress."""

    def piece(self, text: str) -> None:
        """A piece of the answer."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...


def printable(text: str) -> str:
    """The text without control sequences: what documents and models say is shown as text."""
    return "".join(character for character in text if character.isprintable() or character == "\n")


class PlainScreen:
    """Lines, as they come."""

    def say(self, line: str) -> None:
        print(printable(line), flush=True)

    def piece(self, text: str) -> None:
        print(printable(text), end="", flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""


class LiveScreen:
    """The tree above, the answer below.

    Args:
        system: Whose tree is shown.
        rate: Gives the tokens per second.
    """

    def __init__(self, system: MiniAgents, rate: Callable[[], float]) -> None:
        from rich.live import Live

        self._system = system
        self._rate = rate
        self._lines: list[str] = []
        self._answer = ""
        self._live = Live(get_renderable=self._picture, refresh_per_second=8)

    def say(self, line: str) -> None:
        self._lines.append(printable(line))

    def piece(self, text: str) -> None:
        self._answer += printable(text)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _picture(self) -> Any:
        from rich.console import Group
        from rich.text import Text
        from rich.tree import Tree

        tree = Tree(f"swarm  {self._rate():.0f} tokens/s")
        if self._system.is_running:
            _grow(tree, self._system.tree())
        return Group(tree, Text("\n".join(self._lines), style="dim"), Text(self._answer))


def _grow(tree: Any, info: ActorInfo) -> None:
    for child in info.children:
        name = child.path.rsplit("/", 1)[-1]
        waiting = f"  {child.mailbox_depth} waiting" if child.mailbox_depth else ""
        restarts = f"  {child.restarts} restarts" if child.restarts else ""
        _grow(tree.add(f"{name}  {child.state}{waiting}{restarts}"), child)


def new_screen(system: MiniAgents, rate: Callable[[], float]) -> Screen:
    """A live screen on a terminal, plain lines elsewhere."""
    if sys.stdout.isatty():
        try:
            return LiveScreen(system, rate)
        except ImportError:
            pass
    return PlainScreen()
