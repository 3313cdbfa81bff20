"""`typed`: a command whose arguments are checked before it is carried out."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from miniagents.control.protocol import Command, mistake
from miniagents.errors import InvalidOptionError, MessageTooLargeError, NotSendableError, UnencodableError

A = TypeVar("A")


def typed(kind: type[A], call: Callable[[A], Awaitable[Any]]) -> Command:
    """Return a command that takes its arguments as an object.

    Args:
        kind: The class of the object.
        call: Carries out the command, and returns a result that msgspec can carry.

    Returns:
        The command. It raises `CommandError`, of the kind "mistake", for arguments that do not fit, and for what the
        call refuses.
    """

    async def command(arguments: dict[str, Any]) -> Any:
        try:
            converted = msgspec.convert(arguments, kind)
        except msgspec.ValidationError as error:
            raise mistake(f"wrong arguments: {error}") from None
        try:
            return msgspec.to_builtins(await call(converted))
        except (InvalidOptionError, MessageTooLargeError, NotSendableError, UnencodableError) as error:
            raise mistake(str(error)) from error

    return command
