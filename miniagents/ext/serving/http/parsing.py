"""Parsing: what a request says, worked out without holding up the loop.

A small body is parsed at once. Parsing a large one would hold up all other requests, in a thread too, since the
interpreter is held meanwhile: so that is done in a child process, and what comes back is taken in piece by piece.
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
"""Bytes of a body that is parsed at once, if it has no more than `_FEW` elements: that takes less than 20 ms."""

_FEW = 10_000

HEAD = 8
"""Bytes in which the length of a frame stands, in the pipes to and from the child."""


class Parsed(NamedTuple):
    """What a request says.

    Attributes:
        wanted: The request, without its messages.
        messages: The messages.
        fields: The other fields of the body that an agent takes as arguments.
    """

    wanted: Any
    messages: tuple[Message, ...] = ()
    fields: Mapping[str, Any] = MappingProxyType({})


Parse: TypeAlias = Callable[[bytes, Limits, frozenset[str]], Parsed]
"""Parses a body. It takes the limits and the names of arguments, and raises a `Problem`."""


class Parser:
    """Parses the bodies of a service's requests.

    Args:
        limits: What is taken from outside.
        names: The arguments that agents take.
    """

    def __init__(self, limits: Limits, names: frozenset[str]) -> None:
        self._limits = limits
        self._names = names
        self._turn = asyncio.Lock()
        self._child: asyncio.subprocess.Process | None = None

    async def parsed(self, parse: Parse, body: bytes) -> Parsed:
        """What a body says.

        Args:
            parse: A function of a module.
            body: The body, within its limits.

        Raises:
            Problem: It is wrong; or 503: it is large, and the process that parses such is gone.
        """
        if len(body) <= _SMALL and check_structure(body, self._limits) <= _FEW:
            return parse(body, self._limits, self._names)
        asked = pickle.dumps((parse, body, self._limits, self._names))
        async with self._turn:
            try:
                answer = await self._ask(asked)
            except BaseException as error:  # what was asked is not answered yet: the next one would get that answer
                self.stop()
                if not isinstance(error, (OSError, EOFError)):
                    raise
                text = "Large bodies cannot be read at the moment."
                raise Problem(503, text, code="unavailable", retry_after=1.0) from None
        wanted, fields, encoded = pickle.loads(answer)
        if isinstance(wanted, Problem):
            raise wanted
        messages = []
        for one in encoded:
            messages.append(decode(one))
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
        """End the child, if there is one. The next large body starts another one."""
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            child.kill()

    async def end(self) -> None:
        """The service ends: wait until the child has, too."""
        child = self._child
        self.stop()
        if child is not None:
            await child.wait()
