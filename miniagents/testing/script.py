"""What a scripted model says: replies, and the ways in which they fail."""

import enum
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec


class Fault(enum.Enum):
    """How a reply breaks off."""

    CUT = "cut"
    """The connection is cut."""
    STALL = "stall"
    """Nothing more comes, and the connection stays open."""
    ERROR = "error"
    """An error inside the stream, in the provider's own form."""
    END = "end"
    """The stream ends cleanly, without a reason to stop: silent truncation."""
    MALFORMED = "malformed"
    """Something that is no JSON."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of a scripted reply.

    Args:
        name: The name of the tool.
        arguments: Its arguments, as data; a str is sent as it is, however broken.
        id: The id of the call; "" for one that is made up.
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    id: str = ""

    @property
    def json(self) -> str:
        """The arguments as the model writes them."""
        return self.arguments if isinstance(self.arguments, str) else msgspec.json.encode(self.arguments).decode()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a scripted model answers to one request.

    Args:
        text: The text; a str comes word by word, an iterable of strs as these tokens.
        calls: Tool calls.
        delay: Seconds before each token.
        fault: How it breaks off, or None.
        fault_at: After how many tokens.
        stop_reason: Why it stops, as the provider says it; None for what fits.
        refusal: What is said instead of an answer.
        input_tokens: Tokens read; None for the number of words of the request.
        cached_tokens: Those of them that came from the cache.
        reports_usage: Whether the usage is sent.
        status: The HTTP status.
        error_type: The type of the error, where the status is one.
        error: Its text.
        headers: More headers.
        body: The whole body, instead of all above: an HTML page, broken JSON.
        content_type: Of `body`.
    """

    text: str | Iterable[str] = ""
    calls: tuple[Call, ...] = ()
    delay: float = 0.0
    fault: Fault | None = None
    fault_at: int = 0
    stop_reason: str | None = None
    refusal: str | None = None
    input_tokens: int | None = None
    cached_tokens: int = 0
    reports_usage: bool = True
    status: int = 200
    error_type: str | None = None
    error: str = "this failure was scripted"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    content_type: str = "text/html"

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens of its text."""
        if isinstance(self.text, str):
            return tuple(re.findall(r"\s*\S+|\s+$", self.text))
        return tuple(self.text)

    @property
    def output_tokens(self) -> int:
        """How many tokens the whole of it has: those of the text, and one for each piece of a tool call."""
        return len(self.tokens) + sum(len(pieces_of(call.json)) for call in self.calls)

    @classmethod
    def failure(cls, status: int, error_type: str | None = None, error: str = "", **more: Any) -> "Reply":
        """An error response.

        Args:
            status: The HTTP status.
            error_type: The provider's word for it; None for what fits the status.
            error: Its text.
            **more: Further fields of `Reply`.
        """
        return cls(status=status, error_type=error_type, error=error or f"scripted failure {status}", **more)

    @classmethod
    def rate_limited(cls, retry_after: float | str | None = None, **more: Any) -> "Reply":
        """A 429; `retry_after` in seconds, or a date as HTTP writes it."""
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        return cls.failure(429, error="Rate limit reached", headers=headers, **more)


def pieces_of(text: str) -> list[str]:
    """A tool call's JSON in pieces, as models stream it."""
    return [text[at : at + 8] for at in range(0, len(text), 8)]


Scripted: TypeAlias = Reply | str | Callable[[Any], Reply | str]
"""A reply, its text, or a function of the request that gives one."""


class Script:
    """Replies in the order in which they are given, and then the last one for ever.

    Args:
        *replies: The replies. A function is called with the request.

    Attributes:
        requests: What was asked, in order.
    """

    __miniagents_immutable__ = True  # forks of one agent share it

    def __init__(self, *replies: Scripted) -> None:
        self._replies: deque[Scripted] = deque(replies)
        self.requests: list[Any] = []

    def then(self, *replies: Scripted) -> "Script":
        """Put more replies at the end."""
        self._replies.extend(replies)
        return self

    def next(self, request: Any) -> Reply:
        """The reply to a request."""
        self.requests.append(request)
        if not self._replies:
            return Reply("This reply was not scripted.")
        one = self._replies.popleft() if len(self._replies) > 1 else self._replies[0]
        if callable(one):
            one = one(request)
        return Reply(one) if isinstance(one, str) else one

    def __repr__(self) -> str:
        return f"Script({len(self._replies)} replies left)"
