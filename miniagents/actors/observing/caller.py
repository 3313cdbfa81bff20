"""`Caller`: on whose behalf something is done."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec

from miniagents.messages.frozen import EMPTY, freeze


class Caller(msgspec.Struct, frozen=True):
    """On whose behalf an agent is called, and with it all that is called below.

    Attributes:
        name: The name: of a service's token, its owner's.
        claims: What else is known of the caller: what one's own `auth=` says. Dicts and lists are frozen.

    Example:
        >>> caller = Caller("ada", {"plan": "free"})
        >>> caller.name, caller.claims["plan"]
        ('ada', 'free')
    """

    name: str
    claims: Mapping[str, Any] = EMPTY

    def __post_init__(self) -> None:
        if self.claims is not EMPTY:
            msgspec.structs.force_setattr(self, "claims", freeze(self.claims, "Caller.claims"))

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Make the calls of a `with` block on behalf of this caller, and all that is called below them.

        A service does that for the owner of a token. Use this where an application knows its users in another way.

        Example:
            >>> @miniagent
            ... async def greeter(ctx):
            ...     ctx.reply(f"Hello {ctx.caller.name}")
            >>> async with MiniAgents():
            ...     with Caller("ada").acting():
            ...         replies = greeter.inquire()
            ...     print(await replies)
            Hello ada
        """
        token = current_caller.set(self)
        try:
            yield
        finally:
            current_caller.reset(token)


current_caller: ContextVar[Caller | None] = ContextVar("miniagents.current_caller", default=None)
"""On whose behalf the code runs that runs now; None where nobody is known."""
