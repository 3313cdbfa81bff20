"""`Secret`: a value that is used and never shown."""

from typing import NoReturn


class Secret:
    """A value that no repr, hash, journal, log or tree shows: a key, a password, a token.

    Two secrets are equal if their values are. All secrets have the same hash. A secret cannot be pickled.

    Args:
        value: The value, or a secret with the value.

    Example:
        >>> key = Secret("sk-123")
        >>> key
        Secret(***)
        >>> key.reveal()
        'sk-123'
    """

    __slots__ = ("_value",)

    __miniagents_immutable__ = True

    def __init__(self, value: "str | Secret") -> None:
        self._value: str = value.reveal() if isinstance(value, Secret) else value

    def reveal(self) -> str:
        """Return the value."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return self._value == other.reveal() if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(Secret)

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: read it from the environment on the other side")
