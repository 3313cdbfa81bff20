"""`Script`: the replies of a scripted model, and the faults that they break off with."""

import enum
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, TypeAlias

import msgspec

from miniagents.agents.durable.versions import code_key


class Fault(enum.Enum):
    """A way in which a reply breaks off.

    Example:
        >>> from miniagents.testing import ScriptedModel
        >>> script = Script(Reply("It is", fault=Fault.CUT, fault_at=1), "It is sunny.")
        >>> model = ScriptedModel.fork(script=script, retry=RetryPolicy(backoff=Backoff(0.01, 0.01)))
        >>> async with MiniAgents():
        ...     print(await model.inquire("How is the weather?"), len(script.requests))
        It is sunny. 2
    """

    CUT = "cut"
    """The connection is cut."""
    STALL = "stall"
    """Nothing more is sent, and the connection stays open."""
    ERROR = "error"
    """An error inside the stream, in the provider's own form."""
    END = "end"
    """The stream ends without a stop reason: silent truncation."""
    MALFORMED = "malformed"
    """Invalid JSON is sent."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of a scripted reply.

    Args:
        name: The name of the tool.
        arguments: The arguments, as data. A str is sent unchanged, so that it may be broken JSON.
        id: The id of the call; "" for a generated one.

    Example:
        >>> Call("add", {"a": 1, "b": 2}).json
        '{"a":1,"b":2}'
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    id: str = ""

    @property
    def json(self) -> str:
        """The arguments as JSON text."""
        return self.arguments if isinstance(self.arguments, str) else msgspec.json.encode(self.arguments).decode()


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a scripted model to one request.

    Args:
        text: The text. A str is split into words; an iterable of strs is sent as these tokens.
        calls: Tool calls.
        delay: Seconds before each token.
        fault: The way in which the reply breaks off, or None.
        fault_at: The number of tokens before the fault.
        stop_reason: The stop reason in the provider's words; None for the usual one.
        refusal: The text of a refusal, instead of an answer.
        reasoning: The reasoning before the answer, for a `ScriptedModel`.
        input_tokens: Tokens read; None for the number of words of the request.
        cached_tokens: The part of the tokens read that came from the cache.
        reports_usage: Whether the usage is sent.
        status: The HTTP status.
        error_type: The type of the error, for a status that is an error.
        error: The text of the error.
        headers: Additional headers.
        body: The complete body, instead of all above: an HTML page, broken JSON.
        content_type: The content type of `body`.

    Example:
        >>> Reply("It is sunny.").tokens
        ('It', ' is', ' sunny.')
        >>> Reply("It is", fault=Fault.CUT, fault_at=1).fault.value
        'cut'
    """

    text: str | Iterable[str] = ""
    calls: tuple[Call, ...] = ()
    delay: float = 0.0
    fault: Fault | None = None
    fault_at: int = 0
    stop_reason: str | None = None
    refusal: str | None = None
    reasoning: str = ""
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
        """The tokens of the text."""
        if isinstance(self.text, str):
            return tuple(re.findall(r"\s*\S+|\s+$", self.text))
        return tuple(self.text)

    @property
    def output_tokens(self) -> int:
        """The number of tokens of the whole reply: those of the text, and one for each piece of a tool call."""
        return len(self.tokens) + sum(len(pieces_of(call.json)) for call in self.calls)

    @classmethod
    def failure(cls, status: int, error_type: str | None = None, error: str = "", **more: Any) -> "Reply":
        """Return an error response.

        Args:
            status: The HTTP status.
            error_type: The provider's word for the error; None for the usual one of the status.
            error: The text of the error.
            **more: More fields of `Reply`.
        """
        return cls(status=status, error_type=error_type, error=error or f"scripted failure {status}", **more)

    @classmethod
    def rate_limited(cls, retry_after: float | str | None = None, **more: Any) -> "Reply":
        """Return a 429.

        Args:
            retry_after: The header `retry-after`: seconds, or a date in HTTP's form; None to leave it out.
            **more: More fields of `Reply`.

        Example:
            >>> Reply.rate_limited(2).headers
            {'retry-after': '2'}
        """
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        return cls.failure(429, error="Rate limit reached", headers=headers, **more)


def pieces_of(text: str) -> list[str]:
    """Split the JSON of a tool call into pieces, as models stream it."""
    return [text[at : at + 8] for at in range(0, len(text), 8)]


Scripted: TypeAlias = Reply | str | Callable[[Any], Reply | str]
"""A reply, its text, or a function of the request that returns one of these."""


class Script:
    """The replies of a scripted model, in order. The last reply is repeated.

    In a durable system a script is known by its replies, so that another process finds what it has answered. What the
    journal answers takes no reply of the script: a new script begins with its first one.

    Args:
        *replies: The replies. A function is called with the request, a `miniagents.ext.llms.provider.ModelRequest`:
            `str(request.messages[-1])` is the last message, `request.tools` are the tools, `request.output` is the
            type of structured output, and `request.options` are the parameters.

    Attributes:
        requests: The requests, in order.

    Example:
        >>> script = Script("First", lambda request: f"You said {request}")
        >>> [script.next(request).text for request in ("a", "b", "c")]
        ['First', 'You said b', 'You said c']
    """

    __miniagents_immutable__ = True  # all forks of an agent share the script

    def __init__(self, *replies: Scripted) -> None:
        self._replies = list(replies)
        self._given = replies
        self._journal_key = ""
        self.requests: list[Any] = []

    @property
    def journal_key(self) -> str:
        """The key of the script in a journal: a hash of all its replies, the same in each process.

        A function counts by its name and code.
        """
        if not self._journal_key:
            replies = msgspec.json.encode(self._given, enc_hook=_key_of, order="sorted")
            self._journal_key = hashlib.sha256(replies).hexdigest()[:16]
        return self._journal_key

    def then(self, *replies: Scripted) -> "Script":
        """Append replies.

        Args:
            *replies: The replies.

        Returns:
            The script itself.
        """
        self._replies.extend(replies)
        self._given += replies
        self._journal_key = ""
        return self

    def next(self, request: object) -> Reply:
        """Return the reply to a request.

        Args:
            request: The request: an `Exchange` of the fake provider, or a `ModelRequest`.
        """
        self.requests.append(request)
        if not self._replies:
            return Reply("This reply was not scripted.")
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if callable(reply):
            reply = reply(request)
        return Reply(reply) if isinstance(reply, str) else reply

    def __repr__(self) -> str:
        return f"Script({len(self._replies)} replies left)"


def _key_of(value: object) -> object:
    """Return what stands for a function or another object in the key of a script."""
    if isinstance(value, FunctionType):
        return code_key(value)
    return type(value).__qualname__
