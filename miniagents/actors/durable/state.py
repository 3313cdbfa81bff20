"""The state of a durable actor: what its `snapshot()` gives, and its `restore(state)` takes."""

import inspect
import operator
import sys
import typing
from typing import Any, TypeGuard

import msgspec

from miniagents.errors import DecodeError, InvalidOptionError
from miniagents.journal.operations import Operation
from miniagents.journal.states import Save, Snapshot, SnapshotOf
from miniagents.messages import Message, decode, encode

_METHODS = ("snapshot", "restore")

_SAYS_NOTHING = (None, Any, object, msgspec.Struct)
"""Annotations that say too little to decode a state."""


class KeptState:
    """The state of one durable actor, as the journal keeps it.

    Args:
        owner: The path of the actor.
        kind: The class, which may have `snapshot` and `restore`.

    Raises:
        InvalidOptionError: The class has only one of the two methods, or says a type that can be no state.
    """

    def __init__(self, owner: str, kind: type) -> None:
        self._owner = owner
        self._kind = kind
        self._has_state = _has_state(owner, kind)
        self._type = _declared(owner, kind) if self._has_state else None
        self._last: type | None = None  # the type of the last snapshot, if none is declared
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
            DecodeError: The state is not of the type that they say, or nothing says which type it is of.
        """
        self._instance = None
        self._taken = None
        if not self._has_state:
            return
        self._instance = instance
        saved = self._saved
        if saved is not None:
            instance.restore(_decoded(saved, self._type or self._recorded(saved)))

    def _recorded(self, saved: Snapshot) -> type[msgspec.Struct]:
        """Return the type that a state was saved as, in a program that declares none."""
        state_type = _named(saved.kind, self._kind)
        if state_type is None:
            raise DecodeError(
                f"{saved.owner}: its state was saved as {saved.kind}, which this program does not define under that "
                f"name; declare the type of the state: `def restore(self, state: State) -> None`"
            )
        return state_type

    def take(self) -> None:
        """Take a snapshot of the instance, if it has a state.

        Raises:
            TypeError: `snapshot()` gives no struct, or one that no other process can find by its name.
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
        if self._type is None and type(state) is not self._last:
            if _named(kind, self._kind) is None:
                raise TypeError(
                    f"{self._owner}: snapshot() gives a {kind}, which another process cannot find by this name; "
                    f"declare the type of the state: `def restore(self, state: State) -> None`"
                )
            self._last = type(state)
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


def _has_state(owner: str, kind: type) -> bool:
    """Return whether a class has a state.

    Raises:
        InvalidOptionError: It has only one of the methods, or an async one.
    """
    functions = [getattr(kind, method, None) for method in _METHODS]
    if functions == [None, None]:
        return False
    if any(function is None or inspect.iscoroutinefunction(function) for function in functions):
        raise InvalidOptionError(
            f"{owner}: a durable {kind.__name__} has both `def snapshot(self) -> State` and "
            f"`def restore(self, state: State) -> None`, and neither is async"
        )
    return True


def _declared(owner: str, kind: Any) -> type[msgspec.Struct] | None:
    """Return the type of the state that `restore` says, or else `snapshot`; None if neither does.

    Raises:
        InvalidOptionError: The type is no struct, or its name cannot be looked up.
    """
    nonlocals = _nonlocals(kind)
    restored, taken = (_hints(owner, getattr(kind, method), nonlocals) for method in ("restore", "snapshot"))
    restored.pop("return", None)
    for state_type in (next(iter(restored.values()), None), taken.get("return")):
        if state_type not in _SAYS_NOTHING:
            if _is_struct(state_type):
                return state_type
            raise InvalidOptionError(
                f"{owner}: the state of a durable {kind.__name__} is a msgspec.Struct, not {state_type!r}: "
                f"`def restore(self, state: State) -> None`"
            )
    return None


def _hints(owner: str, function: Any, nonlocals: dict[str, Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, localns=nonlocals)
    except NameError as error:
        raise InvalidOptionError(
            f"{owner}: an annotation of {function.__qualname__} cannot be read ({error}); define the type of the "
            f"state in the module, or leave out the annotation"
        ) from error


def _nonlocals(kind: type) -> dict[str, Any]:
    """Return what the methods of a class refer to in the functions around it."""
    functions = [getattr(kind, method) for method in _METHODS]
    return {
        name: value
        for function in functions
        if inspect.isfunction(function)
        for name, value in inspect.getclosurevars(function).nonlocals.items()
    }


def _named(name: str, kind: type) -> type[msgspec.Struct] | None:
    """Return the struct of a name, from what the class refers to and from the modules that are loaded."""
    recorded, _, qualname = name.partition(":")
    for value in _nonlocals(kind).values():
        if _is_struct(value) and value.__qualname__ == qualname:
            return value
    for module in (recorded, kind.__module__):  # the second if one process imported the module and the other ran it
        try:
            value = operator.attrgetter(qualname)(sys.modules[module])
        except (KeyError, AttributeError):
            continue
        if _is_struct(value):
            return value
    return None


def _is_struct(value: object) -> TypeGuard[type[msgspec.Struct]]:
    return isinstance(value, type) and issubclass(value, msgspec.Struct)


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
