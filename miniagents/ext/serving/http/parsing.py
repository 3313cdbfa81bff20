"""Parsing of requests, without blocking the event loop.

A small body is parsed at once. A large one would block all other requests, in a thread too, because of the
interpreter's lock. So a child process parses it, and the parent decodes the result message by message.
"""

import asyncio
import pickle
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_body import check_structure
from miniagents.messages import Message, decode

_SMALL = 256 * 1024
"""The most bytes of a body that is parsed at once, if it has at most `_FEW` elements. That takes less than 20 ms."""

_FEW = 10_000

HEAD = 8
"""Bytes of the length of a frame, in the pipes to and from the child."""


class Parsed(NamedTuple):
    """A parsed request.

    Attributes:
        wanted: The request, without its messages.
        messages: The messages.
        fields: The other fields of the body that an agent takes as arguments.
    """

    wanted: Any
    messages: tuple[Message, ...] = ()
    fields: Mapping[str, Any] = MappingProxyType({})


Parse: TypeAlias = Callable[[bytes, Limits, frozenset[str]], Parsed]
"""Parses a body. Takes the body, the limits, and the names of the arguments of agents; raises a `Problem`."""


class Parser:
    """Parses the bodies of the requests of a service.

    Args:
        limits: The limits of the service.
        names: The names of the arguments of all agents.
    """

    def __init__(self, limits: Limits, names: frozenset[str]) -> None:
        self._limits = limits
        self._names = names
        self._turn = asyncio.Lock()
        self._child: asyncio.subprocess.Process | None = None

    async def parsed(self, parse: Parse, body: bytes) -> Parsed:
        """Parse a body.

        Args:
            parse: A function of a module, so that it can be pickled.
            body: The body.

        Raises:
            Problem: The body is wrong; or 503: the body is large, and the child process has ended.
        """
        if len(body) <= _SMALL and check_structure(body, self._limits) <= _FEW:
            return parse(body, self._limits, self._names)
        asked = pickle.dumps((parse, body, self._limits, self._names))
        async with self._turn:
            try:
                answer = await self._ask(asked)
            except BaseException as error:  # the next request would get the answer to this one
                self.stop()
                if not isinstance(error, (OSError, EOFError)):
                    raise
                text = "Large bodies cannot be read at the moment."
                raise Problem(503, text, code="unavailable", retry_after=1.0) from None
        wanted, fields, encoded = pickle.loads(answer)
        if isinstance(wanted, Problem):
            raise wanted
        messages = []
        for data in encoded:
            messages.append(decode(data))
            await asyncio.sleep(0)
        return Parsed(wanted, tuple(messages), fields)

    async def _ask(self, asked: bytes) -> bytes:
        child = self._child
        if child is None or child.returncode is not None:
            child = self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "miniagents.ext.serving.http.parsing_child",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        assert child.stdin is not None  # both are pipes
        assert child.stdout is not None
        child.stdin.write(len(asked).to_bytes(HEAD, "big"))
        child.stdin.write(asked)
        await child.stdin.drain()
        head = await child.stdout.readexactly(HEAD)
        return await child.stdout.readexactly(int.from_bytes(head, "big"))

    def stop(self) -> None:
        """Stop the child process, if there is one. The next large body starts another."""
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            child.kill()

    async def end(self) -> None:
        """Stop the child process, and wait until it has ended."""
        child = self._child
        self.stop()
        if child is not None:
            await child.wait()
