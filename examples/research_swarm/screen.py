"""The output of the swarm: the live supervision tree on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from miniagents import ActorInfo, MiniAgents


class Screen(Protocol):
    """Shows the progress and the answer, inside `with`."""

    def say(self, line: str) -> None:
        """Show a line of progress."""

    def piece(self, text: str) -> None:
        """Show a piece of the answer."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None, /
    ) -> None: ...


def printable(text: str) -> str:
    """Return a text without control characters, so that documents and models cannot control the terminal."""
    return "".join(character for character in text if character.isprintable() or character == "\n")


class PlainScreen:
    """Prints lines."""

    def say(self, line: str) -> None:
        print(printable(line), flush=True)

    def piece(self, text: str) -> None:
        print(printable(text), end="", flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""


class LiveScreen:
    """Shows the tree above the answer.

    Args:
        system: The system whose tree is shown.
        rate: Returns the tokens per second.
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
        node = f"  on {child.node}" if child.node else ""
        _grow(tree.add(f"{name}  {child.state}{node}{waiting}{restarts}"), child)


def new_screen(system: MiniAgents, rate: Callable[[], float]) -> Screen:
    """Return a live screen on a terminal, one of plain lines elsewhere."""
    if sys.stdout.isatty():
        try:
            return LiveScreen(system, rate)
        except ImportError:
            pass
    return PlainScreen()
