"""The protocol of the control socket: one JSON object a line, a request and then its answer."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from miniagents.errors import MiniAgentsError

VERSION = 1
"""The version of the protocol, in each request and answer. A new field needs no new version."""

MAX_LINE = 4 * 1024 * 1024
"""The largest request, in bytes."""

ErrorKind: TypeAlias = Literal["mistake", "failed"]
"""Whose fault an error is: "mistake" for a wrong request, "failed" for one that cannot be done now."""

Command: TypeAlias = Callable[[dict[str, Any]], Awaitable[Any]]
"""Carries out a command: takes its arguments, and returns a result that JSON can carry. It runs on the event loop, and
must not block it."""


class CommandError(MiniAgentsError):
    """A command was refused, or failed.

    Attributes:
        kind: "mistake" if another request would do better, "failed" if the state of things is the reason.
    """

    kind: ErrorKind = "failed"


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request.

    Attributes:
        command: The name of the command.
        arguments: Its arguments.
        version: The version of the protocol.
    """

    command: str
    arguments: dict[str, Any] = {}
    version: int = VERSION


class Refusal(msgspec.Struct, frozen=True):
    """The reason why there is no result."""

    kind: ErrorKind
    text: str


class Answer(msgspec.Struct, frozen=True):
    """An answer: a result, or the error in its place.

    Attributes:
        result: The result.
        error: The reason why there is none, or None.
        version: The version of the protocol.
    """

    result: Any = None
    error: Refusal | None = None
    version: int = VERSION


def mistake(text: str) -> CommandError:
    """Return the error for a wrong request."""
    return CommandError(text, kind="mistake")


def failed(text: str) -> CommandError:
    """Return the error for what cannot be done now."""
    return CommandError(text, kind="failed")


def line_of(value: Request | Answer) -> bytes:
    """Return the line of a request or an answer.

    Raises:
        TypeError: JSON cannot carry a value in it.
    """
    return msgspec.json.encode(value) + b"\n"


def path_text(path: Path) -> str:
    """Return a path as a text that JSON can carry. Bytes that are no UTF-8 are shown as `\\xff`."""
    return os.fsencode(path).decode(errors="backslashreplace")
