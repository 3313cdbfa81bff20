"""The tool calls of an answer, put together from the pieces and snapshots in which they come."""

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
        """The first form in which they are a JSON object; where there is none, the first that says anything."""
        streamed = "".join(self.pieces)
        if not self.final and not self.begun and not streamed.startswith("{}"):
            return streamed
        # A beginning that has all is sent again in pieces by some servers, and continued by others.
        forms = (self.final, streamed, streamed.removeprefix("{}"), self.begun, self.begun + streamed)
        whole = (form for form in forms if is_whole(form))
        return next(whole, next(filter(None, forms), ""))


class ToolCalls:
    """The tool calls of one answer.

    What belongs together is told by the place of a call, and where servers give every call the same place, or none, by
    its id, its name, and whether the arguments that came before are whole.
    """

    __slots__ = ("_last", "_places")

    def __init__(self) -> None:
        self._places: dict[Hashable, list[_Call]] = {}
        self._last: Hashable = 0

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def piece(self, place: Hashable, call_id: str, name: str, arguments: str) -> None:
        """A piece of a call came.

        Args:
            place: Where it stands in the answer; None if the provider does not say.
            call_id: Its id, or "".
            name: The name of the tool, or "".
            arguments: A piece of its arguments, or "".
        """
        call = self._call(place, call_id, name, arguments)
        if call is not None and arguments:
            call.pieces.append(arguments)

    def begin(self, place: Hashable, call_id: str, name: str, arguments: str) -> None:
        """A call begins; its arguments may be there already, and may come again in pieces."""
        if place is None:
            place = self._last
        self._last = place
        calls = self._places.setdefault(place, [])
        call = next((one for one in calls if not one.name or (call_id and one.call_id == call_id)), None)
        if call is None or is_whole(call.arguments):
            call = _Call()
            calls.append(call)
        call.call_id, call.name, call.begun = call_id or call.call_id, name, arguments

    def complete(self, place: Hashable, call_id: str, name: str, arguments: str) -> None:
        """A call as the provider has it in the end: what it says wins over the pieces."""
        # Places at the end may be others than before, and ids may come again: then other arguments tell them apart.
        here = [one for one in self._places.get(place, ()) if one.call_id == call_id]
        others = (one for calls in self._places.values() for one in calls if one.call_id == call_id)
        known = [*here, *(one for one in others if one.final in ("", arguments))] if call_id else []
        call = known[0] if known else self._call(place, call_id, name, "")
        if call is not None:
            call.name = name or call.name
            call.final = arguments or call.final

    def all(self) -> tuple[ToolCall, ...]:
        """The calls, in order."""
        return tuple(
            ToolCall(
                id=sound(call.call_id) or f"call_{number}",
                name=sound(call.name),
                arguments=sound(call.arguments) or "{}",
            )
            for number, call in enumerate(self._in_order())
        )

    def drop_nameless(self) -> None:
        """Leave out the calls whose name never came: the answer was cut before it."""
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
        """The call that a piece belongs to; None if it repeats what came."""
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
    """Which call at a place a piece with an id or a name belongs to; None for a new one."""
    last = calls[-1]
    if call_id and last.call_id and call_id != last.call_id:
        known = next((one for one in calls if one.call_id == call_id), None)
        if known is not None:
            return known
        # Some servers make up an id for every piece; only a name, or whole arguments, begin another call.
        return None if name or is_whole(last.arguments) else last
    if name and last.name and arguments.lstrip().startswith("{") and is_whole(last.arguments):
        return _REPEATED if call_id and arguments == last.arguments else None
    return last


def is_whole(arguments: str) -> bool:
    """Whether arguments are a JSON object, from beginning to end."""
    try:
        msgspec.json.decode(arguments, type=dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True
