"""The options of an MCP server, checked."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeAlias

import httpx2

from miniagents.actors import Caller
from miniagents.agents import AgentRef, MiniAgent
from miniagents.errors import InvalidOptionError
from miniagents.ext.mcp.asking import OnElicitation
from miniagents.ext.mcp.http import Headers
from miniagents.supervision.checking import check_count, check_kind, check_seconds

DEFAULT_MAX_BYTES = 8 * 2**20
"""The longest message of a server that is taken."""

DEFAULT_SEARCH_ABOVE = 0.1

USUAL_WINDOW = 128_000
"""The context window in tokens of a model whose window is not known."""

DEFAULT_MAX_RESULT_TOKENS = 20_000

DEFAULT_CLOSE_AFTER = 600.0

HeadersOf: TypeAlias = Callable[[Caller | None], Headers | Awaitable[Headers]]
"""A function, async or not, that returns the headers for a caller."""

AuthOf: TypeAlias = Callable[[Caller | None], httpx2.Auth | None]
"""A function that returns the authentication for a caller."""

_PREFIX = re.compile(r"[a-zA-Z0-9_-]{0,32}")


@dataclass(frozen=True, slots=True, eq=False)
class ServerOptions:
    """The options of `McpServer`, which see."""

    name: str
    command: Sequence[str] | None
    env: Mapping[str, str] | None
    cwd: str | Path | None
    url: str | None
    headers: Headers | HeadersOf | None
    auth: httpx2.Auth | AuthOf | None
    allow: Sequence[str] | None
    deny: Sequence[str] | None
    prefix: str
    required: bool
    trusted: bool
    pin: bool | str | Path
    always: Sequence[str]
    search_above: float | None
    max_result_tokens: int | None
    max_bytes: int
    idle_timeout: float | None
    close_after: float | None
    on_elicitation: OnElicitation | None
    on_sampling: MiniAgent | AgentRef | None

    def __post_init__(self) -> None:
        where = f"McpServer({self.name!r}"
        check_kind("McpServer(name=)", self.name, str)
        if not self.name.strip():
            raise InvalidOptionError("McpServer(name=) must be a name, not ''")
        if (self.command is None) == (self.url is None):
            raise InvalidOptionError(f"{where}): give one of command= and url=")
        if self.command is not None and not _is_list_of_texts(self.command):
            raise InvalidOptionError(
                f"{where}, command=) is a list, as ['uvx', 'mcp-server-time'], not {self.command!r}"
            )
        if self.command is None and (self.env is not None or self.cwd is not None):
            raise InvalidOptionError(f"{where}): env= and cwd= are for command=")
        if self.url is None and (self.headers is not None or self.auth is not None):
            raise InvalidOptionError(f"{where}): headers= and auth= are for url=")
        if self.url is not None and not str(self.url).startswith(("http://", "https://")):
            raise InvalidOptionError(f"{where}, url=) must begin with http:// or https://, not {self.url!r}")
        for option, patterns in (("allow", self.allow), ("deny", self.deny), ("always", self.always)):
            if patterns is not None and not _is_list_of_texts(patterns):
                raise InvalidOptionError(f"{where}, {option}=) is a list of names and patterns, not {patterns!r}")
        if not _PREFIX.fullmatch(self.prefix):
            raise InvalidOptionError(f"{where}, prefix=) is up to 32 letters, digits, '_' and '-', not {self.prefix!r}")
        if not isinstance(self.pin, (bool, str, Path)):
            raise InvalidOptionError(f"{where}, pin=) is True, False or the path of a file, not {self.pin!r}")
        check_count(f"{where}, max_bytes=)", self.max_bytes, 1)
        if isinstance(self.search_above, float):
            if not 0 < self.search_above < 1:
                raise InvalidOptionError(
                    f"{where}, search_above=) is a number of tokens, or a share of the model's window between 0 and 1, "
                    f"not {self.search_above!r}"
                )
        else:
            check_count(f"{where}, search_above=)", self.search_above, 0, or_none=True)
        check_count(f"{where}, max_result_tokens=)", self.max_result_tokens, 1, or_none=True)
        if self.idle_timeout is not None:
            check_seconds(f"{where}, idle_timeout=)", self.idle_timeout, above_zero=True)
        if self.close_after is not None:
            check_seconds(f"{where}, close_after=)", self.close_after, above_zero=True)

        if self.on_elicitation is not None and not _is_agent(self.on_elicitation) and not callable(self.on_elicitation):
            raise InvalidOptionError(
                f"{where}, on_elicitation=) is an agent or a function, not {self.on_elicitation!r}"
            )
        if self.on_sampling is not None and not _is_agent(self.on_sampling):
            raise InvalidOptionError(f"{where}, on_sampling=) is an agent, not {self.on_sampling!r}")

    @property
    def place(self) -> str:
        """The program or the address of the server."""
        return str(list(self.command)) if self.command is not None else str(self.url)

    @property
    def is_per_caller(self) -> bool:
        """True if each caller has a connection of their own."""
        return callable(self.headers) or (callable(self.auth) and not isinstance(self.auth, httpx2.Auth))

    def lets_through(self, tool: str) -> bool:
        """Return whether a tool is allowed, and not denied.

        Args:
            tool: The server's name of the tool.
        """
        if self.allow is not None and not _matches(tool, self.allow):
            return False
        return self.deny is None or not _matches(tool, self.deny)

    def most_tokens(self, window: int | None) -> float | None:
        """Return the tokens that the definitions of the tools may take; None for no limit.

        Args:
            window: The context window of the model in tokens, or None if it is not known.
        """
        most = self.search_above
        return most * (window or USUAL_WINDOW) if isinstance(most, float) else most

    def is_always_shown(self, tool: str) -> bool:
        """Return whether a tool is shown even if there are too many.

        Args:
            tool: The server's name of the tool.
        """
        return _matches(tool, self.always)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_agent(value: object) -> bool:
    return isinstance(value, (MiniAgent, AgentRef))


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(item, str) for item in value)
