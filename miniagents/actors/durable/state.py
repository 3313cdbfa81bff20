"""The state of a durable actor: what its `snapshot()` gives, and its `restore(state)` takes."""

import inspect
import typing
from typing import Any

import msgspec

from miniagents.errors import DecodeError, InvalidOptionError
from miniagents.journal.operations import Operation
from miniagents.journal.states import Save, Snapshot, SnapshotOf
from miniagents.messages import Message, decode, encode


class KeptState:
    """The state of one durable actor, as the journal keeps it.

    Args:
        owner: The path of the actor.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._instance: Any = None
        self._saved: Snapshot | None = None  # the last one that was written, or is being written
        self._taken: Snapshot | None = None  # for the acknowledgement that comes next

    def query(self) -> SnapshotOf:
        """Ask for the snapshot in the journal."""
        return SnapshotOf(self._owner)

    def keep(self, saved: Snapshot | None) -> None:
        """Take the snapshot that was in the journal."""
        self._saved = saved

    def restore(self, instance: Any) -> None:
        """Give a fresh instance the state that was saved last, if it has `snapshot` and `restore`.

        Raises:
            InvalidOptionError: The instance has only one of them, or does not say the type of its state.
            DecodeError: The state is not of that type.
        """
        self._instance = None
        self._taken = None
        kind = type(instance)
        if not hasattr(kind, "snapshot") and not hasattr(kind, "restore"):
            return
        state_type = _state_type(self._owner, kind)
        self._instance = instance
        saved = self._saved
        if saved is not None:
            instance.restore(_decoded(saved, state_type))

    def take(self) -> None:
        """Take a snapshot of the instance, if it has a state.

        Raises:
            TypeError: `snapshot()` gives no struct.
            Exception: What `snapshot()` raised.
        """
        instance = self._instance
        if instance is None:
            return
        state = instance.snapshot()
        if not isinstance(state, msgspec.Struct):
            raise TypeError(
                f"{self._owner}: snapshot() gives a msgspec.Struct, not a {type(state).__name__}; "
                f"declare one with the fields of the state"
            )
        kind = f"{type(state).__module__}:{type(state).__qualname__}"
        body = encode(state) if isinstance(state, Message) else msgspec.msgpack.encode(state)
        self._taken = Snapshot(self._owner, body, kind)

    def operations(self) -> tuple[Operation[Any], ...]:
        """Return what saves the snapshot that was taken, if one was: it belongs to the acknowledgement."""
        taken, self._taken = self._taken, None
        if taken is None:
            return ()
        self._saved = taken
        return (Save(taken),)

    def latest(self) -> tuple[Operation[Any], ...]:
        """Return what saves the snapshot that was taken last, be it in the journal already or not."""
        return (Save(self._saved),) if self._saved is not None else ()

    def let_go(self) -> None:
        """Let go of the instance: the actor has ended."""
        self._instance = None


def _state_type(owner: str, kind: type) -> Any:
    """Return the type of the state: what `restore` takes, or `snapshot` gives.

    Raises:
        InvalidOptionError: A method is missing, is async, or neither says the type.
    """
    name = kind.__name__
    for method in ("snapshot", "restore"):
        function = getattr(kind, method, None)
        if function is None or inspect.iscoroutinefunction(function):
            raise InvalidOptionError(
                f"{owner}: a durable {name} has both `def snapshot(self) -> State` and "
                f"`def restore(self, state: State) -> None`, and neither is async"
            )
    hints = typing.get_type_hints(kind.restore)  # type: ignore[attr-defined]  # it was looked at
    hints.pop("return", None)
    state_type = next(iter(hints.values()), typing.get_type_hints(kind.snapshot).get("return"))  # type: ignore[attr-defined]
    if not (isinstance(state_type, type) and issubclass(state_type, msgspec.Struct)):
        raise InvalidOptionError(
            f"{owner}: {name}.restore must say the type of its state, a msgspec.Struct: "
            f"`def restore(self, state: State) -> None`"
        )
    return state_type


def _decoded(saved: Snapshot, state_type: Any) -> Any:
    try:
        return (
            decode(saved.state)
            if issubclass(state_type, Message)
            else msgspec.msgpack.decode(saved.state, type=state_type)
        )
    except (DecodeError, msgspec.DecodeError) as error:
        raise DecodeError(
            f"{saved.owner}: its state, saved as {saved.kind}, is no {state_type.__qualname__} any more: {error}; give "
            f"new fields defaults, or clear the state with the journal's operation Clear({saved.owner!r})"
        ) from error
