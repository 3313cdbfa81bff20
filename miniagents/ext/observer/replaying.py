"""`Replay`: the sections of the page as they were at a time, out of a recording."""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from miniagents.ext.observer.call_views import window_of
from miniagents.ext.observer.connection import Look, Section, View
from miniagents.ext.observer.following import SAMPLES
from miniagents.ext.observer.recording_file import Recording

_SHOWN = 200
_HAPPENED = 30
_FOUND = 50
_UNKNOWN: View = {"types": {}, "streams": [], "options": {"mailbox": None, "durable": False, "handler_timeout": None}}


class State:
    """The state of a system at one moment of a recording.

    Attributes:
        at: The time, in seconds since the epoch.
        views: The whole views, by section.
        samples: The samples up to there.
    """

    def __init__(self) -> None:
        self.at = 0.0
        self.views: dict[str, View] = {}
        self.samples: deque[list[float]] = deque(maxlen=SAMPLES)

    def take(self, at: float, content: Any, *, is_key: bool) -> None:
        """Go on with the next frame."""
        self.at = at
        if is_key:
            self.views.clear()
            self.samples.clear()
        self.samples += content["samples"]
        for name, delta in content["sections"].items():
            self.views[name] = applied(self.views.get(name), delta)


def applied(view: View | None, delta: View) -> View:
    """Return the view that a difference leads to; see `difference`.

    Args:
        view: The view before; None for none.
        delta: The difference.

    Example:
        >>> applied({"a": 1, "rows": {"x": 1}, "order": ["x"]}, {"rows": {"y": 2}, "order": ["y"]})
        {'a': 1, 'rows': {'y': 2}, 'order': ['y']}
    """
    is_fresh = view is None or bool(delta.get("fresh"))
    old: View = {} if view is None or is_fresh else view
    after = {name: value for name, value in old.items() if name not in delta.get("gone", ())}
    after |= {name: value for name, value in delta.items() if name not in ("fresh", "gone", "rows")}
    rows = {**old.get("rows", {}), **delta.get("rows", {})}
    if "order" in after:
        after["rows"] = {key: rows[key] for key in after["order"] if key in rows}
    return after


class Replay:
    """Plays a recording. Each look says the time that it wants (`at`); without one it is the last.

    Args:
        recording: The recording.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._state = State()
        self._asked: float | None = None

    def state_at(self, at: float) -> State:
        """Return the state at a time.

        Args:
            at: The time, in seconds since the epoch.
        """
        if at != self._asked:
            for moment, is_key, content in self.recording.states(at):
                if is_key or moment > self._state.at:
                    self._state.take(moment, content, is_key=is_key)
            self._asked = at
        return self._state

    def sections(self) -> dict[str, Section]:
        """Return the sections that a page can look at."""
        own: dict[str, Callable[[State, Look], View | None]] = {
            "samples": _samples,
            "tree": _tree,
            "actor": _actor,
            "calls": _calls,
            "call": self._call,
            "happenings": _happenings,
        }
        plain = ("summary", "sky", "letters", "allowances", "waits", "nodes")
        sections = {name: (0.05, self._section(view)) for name, view in own.items()}
        return sections | {name: (0.05, self._section(_as_it_was(name))) for name in plain}

    def _section(self, view: Callable[[State, Look], View | None]) -> Callable[[Look], Awaitable[View | None]]:
        async def compute(look: Look) -> View | None:
            at = look.get("at")
            state = self.state_at(float(at) if at is not None else self.recording.ends)
            seen = view(state, look)
            return dict(seen) if seen is not None else None  # the connection adds to it

        return compute

    def _call(self, _: State, look: Look) -> View | None:
        """Return an interaction as it was in the end."""
        number = int(look.get("id") or 0)
        view: View | None = self.recording.call(number)
        if view is None:
            return None
        folded = frozenset(look.get("folded") or ())
        rows = _unfolded(view, lambda row: "step" in row or row["id"] not in folded)
        selected = int(look.get("selected") or number)
        whole = view["selected"]
        if whole["id"] != selected:
            row = view["rows"].get(str(selected), whole)
            whole = {**row, "parent": None, "trace": [row["agent"]], "streaming": False, "texts": {}, "errors": []}
        return {**view, **_window(rows, look), "selected": whole}


def _as_it_was(name: str) -> Callable[[State, Look], View | None]:
    return lambda state, _: state.views.get(name)


def _samples(state: State, look: Look) -> View:
    since = float(look.get("since") or 0.0)
    return {"samples": [sample for sample in state.samples if sample[0] > since]}


def _tree(state: State, look: Look) -> View:
    """Return a window of the tree. It was recorded unfolded, and is folded here."""
    unfolded = {str(path) for path in look.get("open") or ()}
    tree = state.views["tree"]

    def is_open(row: View) -> bool:
        path, depth = row["path"], row["depth"]
        return "group" in row or path in unfolded or (depth == 0 and f"-{path}" not in unfolded)

    rows = [{**row, "open": bool(row["open"]) and is_open(row)} for row in _unfolded(tree, is_open)]
    return _window(rows, look)


def _unfolded(view: View, is_open: Callable[[View], bool]) -> list[View]:
    """Return the rows of a tree that are not below a folded one."""
    rows: list[View] = []
    hidden_below: int | None = None
    for key in view["order"]:
        row = view["rows"][key]
        if hidden_below is not None and row["depth"] > hidden_below:
            continue
        hidden_below = None if is_open(row) else row["depth"]
        rows.append(row)
    return rows


def _calls(state: State, look: Look) -> View:
    only, agent = look.get("only"), look.get("agent")
    view = state.views["calls"]
    everything = [row for row in _rows(view) if not agent or row["path"] == agent]
    rows = [
        row for row in everything if (only != "open" or "took" not in row) and (only != "failed" or row["failures"] > 0)
    ]
    return {**view, **_window(rows, look), "of": len(everything)}


def _happenings(state: State, look: Look) -> View:
    kinds, path = set(look.get("kinds") or ()), str(look.get("path") or "/").rstrip("/")
    view = state.views["happenings"]
    rows = [
        row
        for row in _rows(view)
        if (not kinds or row["kind"] in kinds) and (row["path"] == path or row["path"].startswith(f"{path}/"))
    ]
    return {**view, **_window(rows, look), "of": view["of"]}


def _actor(state: State, look: Look) -> View:
    """Return what the recording has of one actor."""
    path = str(look.get("path") or "/")
    happened = _happenings(state, {"path": path, "count": _HAPPENED})
    view: View = {
        "path": path,
        "happened": [happened["rows"][key] for key in happened["order"]],
        "calls": _calls(state, {"agent": path, "count": _HAPPENED}),
        "state": "unknown",
    }
    row = next((row for row in _rows(state.views["tree"]) if row["path"] == path and "group" not in row), None)
    if row is not None:
        view |= {**_UNKNOWN, "below": [0, 0, 0], "epoch": 0, **row}
    return view


def _rows(view: View) -> Iterable[View]:
    return (view["rows"][key] for key in view["order"])


def _window(rows: list[View], look: Look) -> View:
    first, count = window_of(look, _SHOWN)
    shown = {row["key"]: row for row in rows[first : first + count]}
    return {"rows": shown, "order": list(shown), "first": first, "total": len(rows)}


def hello_of(recording: Recording, boot: str) -> View:
    """Return what a page is told first, that plays a recording."""
    _, _, key = next(iter(recording.states(recording.begins)))
    return {
        "boot": boot,
        "pid": None,
        "began": recording.begins,
        "now": time.time(),
        "system": key["system"],
        "actions": [],
        "texts": "full",
        "recording": {"begins": recording.begins, "ends": recording.ends},
    }


def search(state: State, wanted: str) -> View:
    """Look for a text in the state at the end of a recording, as the search of a running system does.

    Args:
        state: The state.
        wanted: The text.
    """
    needle = wanted.casefold()

    def look(name: str, show: Callable[[View, str], View]) -> View:
        rows = list(_rows(state.views[name]))
        items = []
        for row in rows:
            texts = [str(row[part]) for part in ("path", "error", "text", "type", "input", "agent") if row.get(part)]
            text = next((text for text in texts if needle in text.casefold()), None)
            if text is not None:
                items.append(show(row, text[:_SHOWN]))
        return {"items": items[:_FOUND], "found": len(items), "of": len(rows)}

    return {
        "actors": look("tree", lambda row, text: {"path": row["path"], "state": row.get("state", ""), "text": text}),
        "happenings": look(
            "happenings",
            lambda row, text: {
                "number": int(row["key"]),
                "kind": row["kind"],
                "path": row["path"],
                "at": row["at"],
                "call": row.get("call"),
                "text": text,
            },
        ),
        "calls": look(
            "calls", lambda row, text: {"id": row["id"], "path": row["path"], "error": row.get("error"), "text": text}
        ),
        "oldest": state.views["happenings"]["oldest"],
        "dropped": state.views["summary"]["recorder"]["dropped"],
    }
