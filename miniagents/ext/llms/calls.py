"""`ToolCalls`: the tool calls of an answer, joined from the pieces and snapshots of a stream."""

from collections.abc import Hashable

import msgspec

from miniagents.ext.llms.messages import ToolCall
from miniagents.ext.llms.sound import sound


class _Call:
    __slots__ = ("begun", "call_id", "final", "name", "pieces")

    def __init__(self) -> None:
        self.call_id = ""
        self.name = ""
        self.begun = ""
        self.pieces: list[str] = []
        self.final = ""

    @property
    def arguments(self) -> str:
        """The first form of the arguments that is a JSON object; without one, the first that is not empty."""
        streamed = "".join(self.pieces)
        if not self.final and not self.begun and not streamed.startswith("{}"):
            return streamed
        # After the arguments at the beginning of a call, some servers send them again in pieces, and others the rest.
        forms = (self.final, streamed, streamed.removeprefix("{}"), self.begun, self.begun + streamed)
        objects = (form for form in forms if is_whole(form))
        return next(objects, next(filter(None, forms), ""))


class ToolCalls:
    """The tool calls of one answer.

    Pieces with the same place belong to the same call. For servers that give all calls one place, or none, the id, the
    name, and whether the arguments so far are a whole JSON object decide.
    """

    __slots__ = ("_last", "_places")

    def __init__(self) -> None:
        self._places: dict[Hashable, list[_Call]] = {}
        self._last: Hashable = 0

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def piece(self, place: Hashable, call_id: str, name: str, arguments: str) -> None:
        """Add a piece of a call.

        Args:
            place: The place of the call in the answer; None if the provider does not say.
            call_id: The id of the call, or "".
            name: The name of the tool, or "".
            arguments: A piece of the arguments, or "".
        """
        call = self._call(place, call_id, name, arguments)
        if call is not None and arguments:
            call.pieces.append(arguments)

    def begin(self, place: Hashable, call_id: str, name: str, arguments: str) -> None:
        """Begin a call. Its arguments may be known already, and may follow in pieces all the same."""
        if place is None:
            place = self._last
        self._last = place
        calls = self._places.setdefault(place, [])
        call = next((known for known in calls if not known.name or (call_id and known.call_id == call_id)), None)
        if call is None or is_whole(call.arguments):
            call = _Call()
            calls.append(call)
        call.call_id, call.name, call.begun = call_id or call.call_id, name, arguments

    def complete(self, place: Hashable, call_id: str, name: str, arguments: str) -> None:
        """Complete a call with the provider's final form of it, which replaces the pieces."""
        # Final places may differ from earlier ones, and ids may repeat: then the arguments tell calls apart.
        here = [call for call in self._places.get(place, ()) if call.call_id == call_id]
        others = (call for calls in self._places.values() for call in calls if call.call_id == call_id)
        known = [*here, *(call for call in others if call.final in ("", arguments))] if call_id else []
        call = known[0] if known else self._call(place, call_id, name, "")
        if call is not None:
            call.name = name or call.name
            call.final = arguments or call.final

    def all(self) -> tuple[ToolCall, ...]:
        """Return the calls in order."""
        return tuple(
            ToolCall(
                id=sound(call.call_id) or f"call_{number}",
                name=sound(call.name),
                arguments=sound(call.arguments) or "{}",
            )
            for number, call in enumerate(self._in_order())
        )

    def drop_nameless(self) -> None:
        """Drop the calls without a name: the answer was cut off before it."""
        for place, calls in self._places.items():
            self._places[place] = [call for call in calls if call.name]

    @property
    def nameless(self) -> int | None:
        """The number of the first call without a name, from 0; None if all have one."""
        return next((number for number, call in enumerate(self._in_order()) if not call.name), None)

    def _in_order(self) -> list[_Call]:
        places = sorted(self._places, key=lambda place: place if isinstance(place, int) else len(self._places))
        return [call for place in places for call in self._places[place]]

    def _call(self, place: Hashable, call_id: str, name: str, arguments: str) -> _Call | None:
        """Return the call that a piece belongs to; None if the piece repeats a call."""
        if place is None:
            place = self._last
        self._last = place
        calls = self._places.setdefault(place, [])
        call = calls[-1] if calls else None
        if call is not None and (call_id or name):
            call = _of_these(calls, call_id, name, arguments)
            if call is _REPEATED:
                return None
        if call is None:
            call = _Call()
            calls.append(call)
        call.call_id = call.call_id or call_id
        call.name = name or call.name
        return call


_REPEATED = _Call()


def _of_these(calls: list[_Call], call_id: str, name: str, arguments: str) -> _Call | None:
    """Return the call at a place to which a piece with an id or a name belongs; None for a new call."""
    last = calls[-1]
    if call_id and last.call_id and call_id != last.call_id:
        known = next((call for call in calls if call.call_id == call_id), None)
        if known is not None:
            return known
        # Some servers invent an id for every piece: another call begins only with a name or after whole arguments.
        return None if name or is_whole(last.arguments) else last
    if name and last.name and arguments.lstrip().startswith("{") and is_whole(last.arguments):
        return _REPEATED if call_id and arguments == last.arguments else None
    return last


def is_whole(arguments: str) -> bool:
    """Return whether arguments are a whole JSON object."""
    try:
        msgspec.json.decode(arguments, type=dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True
