"""`Secret`: a value that is used and never shown."""

from typing import Any


class Secret:
    """A value that no repr, hash, journal, log or tree shows: a key, a password, a token.

    Two secrets are equal when their values are; their hash says nothing of them.

    Args:
        value: The value.
    """

    __slots__ = ("_value",)

    __miniagents_immutable__ = True

    def __init__(self, value: "str | Secret") -> None:
        self._value: str = value._value if isinstance(value, Secret) else value

    def reveal(self) -> str:
        """The value."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(Secret)

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> Any:
        raise TypeError("a Secret is not pickled: read it from the environment on the other side")
