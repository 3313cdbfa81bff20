"""Errors that name `inquire`, for code that uses an agent like one of another library."""

from typing import TYPE_CHECKING, Any, NoReturn

_INQUIRE = "write `await agent.inquire(messages)` for its replies, or `async for` over `agent.inquire(messages)`"

OTHER_NAMES = ("ainvoke", "arun", "ask", "astream", "call", "invoke", "run", "send", "stream", "tell")
"""The methods by which other libraries call an agent, and those of a reference to an actor."""


class _OtherName:
    """A name that an agent does not have. Code that looks it up gets an `AttributeError`, so `hasattr` is False."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, agent: Any, owner: type) -> NoReturn:
        if agent is None:
            raise AttributeError(f"{owner.__name__} has no {self._name}(); {_INQUIRE}")
        raise AttributeError(f"agent {agent.alias}: has no {self._name}(); {_INQUIRE}")


class Misused:
    """What an agent answers to code that calls it or awaits it.

    Type checkers do not see these methods, so each of these uses is an error to them, too. A `__getattr__` would be
    shorter. It makes every call of a method slower on Python 3.11.
    """

    __slots__ = ()

    if not TYPE_CHECKING:

        def __call__(self, *_: object, **__: object) -> NoReturn:
            raise TypeError(
                f"agent {self.alias}: is not called like a function; {_INQUIRE}. "
                f"`agent.fork(...)` gives an agent with other arguments"
            )

        def __await__(self) -> NoReturn:
            raise TypeError(f"agent {self.alias}: cannot be awaited itself; {_INQUIRE}")

        def __dir__(self) -> list[str]:
            return [name for name in object.__dir__(self) if name not in OTHER_NAMES]


for _name in OTHER_NAMES:
    setattr(Misused, _name, _OtherName(_name))
