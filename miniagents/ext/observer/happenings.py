"""Happenings: failures, restarts, ends and actions as the recorder keeps them, as text."""

from collections.abc import Callable

HAPPENING_BYTES = 330
"""The bytes of a happening without its text."""


class Happening:
    """One thing that happened.

    Attributes:
        kind: "crash", "restart", "escalation", "dead_letter", "hang", "deadlock", "slowed", "node_up", "node_lost",
            "ended" or "action".
        number: Its number; later ones have higher numbers.
        path: The actor that it happened to.
        at: The time, in seconds since the epoch.
        text: The text of the error, of the reason or of the action, or None.
        error_type: The class of the error, or None.
        call: The number of the interaction that it happened in, or None.
        uid: The number of the actor, or None.
        ring: The paths that waited for each other, for "deadlock".
        trace: The agents that the error came through, or ().
        by: The name of the one on whose behalf it happened, or None.
        facts: The last facts of an actor that has ended: restarts and handled messages; or of an action.
    """

    __slots__ = (
        "at", "by", "call", "error_type", "facts", "kind", "number", "on_forget", "path", "ring", "size", "text",
        "trace", "uid",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        kind: str,
        path: str,
        at: float,
        *,
        text: str | None = None,
        error_type: str | None = None,
        call: int | None = None,
        uid: int | None = None,
        ring: tuple[str, ...] = (),
        trace: tuple[str, ...] = (),
        by: str | None = None,
        facts: dict[str, object] | None = None,
    ) -> None:
        self.number = number
        self.kind = kind
        self.path = path
        self.at = at
        self.text = text
        self.error_type = error_type
        self.call = call
        self.uid = uid
        self.ring = ring
        self.trace = trace
        self.by = by
        self.facts = facts
        self.size = HAPPENING_BYTES + len(text or "")
        self.on_forget: Callable[[Happening], object] | None = None

    def forget(self) -> None:
        """Take leave; see `Recorded`."""
        if self.on_forget is not None:
            self.on_forget(self)
