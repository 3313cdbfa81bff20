"""`Connection`: one page, over one WebSocket: what it looks at, and the differences that it is sent.

It is a WebSocket, and not a stream of server-sent events, for three reasons. The page says with each scroll what it
looks at. A browser opens at most six connections to a server over HTTP/1.1, so that ten pages would block each other.
And a proxy that buffers answers leaves WebSockets alone.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from miniagents.log import log as _log
from miniagents.promising.tracebacks import traceback_text

TICK = 0.2
"""Seconds between two frames, at least."""
HEARTBEAT = 1.0
"""Seconds after which a frame is sent even if nothing has changed: it tells the page how old its data are."""
_LARGEST = 65_536
"""The most bytes of a message of the page."""

Look = dict[str, Any]
View = dict[str, Any]
Section = tuple[float, Callable[[Look], Awaitable[View | None]]]
"""The seconds between two computations, and the function that computes."""

_encode = msgspec.json.Encoder().encode


class Connection:
    """One page that looks.

    A page has one frame at a time: the next one is made when the page has taken the last one. A slow browser gets
    fewer frames, and nothing waits for it here.

    Args:
        websocket: The connection, not yet accepted.
        sections: The sections that a page can look at, by name.
        hello: What the page is told first.
    """

    def __init__(self, websocket: WebSocket, sections: dict[str, Section], hello: View) -> None:
        self._websocket = websocket
        self._sections = sections
        self._hello = hello
        self._look: dict[str, Look] = {}
        self._sent: dict[str, View] = {}
        self._due: dict[str, float] = {}
        self._number = 0
        self._taken = 0
        self._turn = asyncio.Event()
        self._failed: set[str] = set()

    async def run(self) -> None:
        """Serve the page until it leaves, or the server ends."""
        await self._websocket.accept()
        await self._websocket.send_text(_encode({"hello": self._hello}).decode())
        listening = asyncio.create_task(self._listen())
        telling = asyncio.create_task(self._tell())
        try:
            await asyncio.wait({listening, telling}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, telling):
                task.cancel()
            await asyncio.gather(listening, telling, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                text = await self._websocket.receive_text()
            except (WebSocketDisconnect, RuntimeError, KeyError):
                return
            try:
                if len(text) > _LARGEST:
                    raise ValueError
                said = msgspec.json.decode(text)
                look, taken = said.get("look"), said.get("taken")
                if type(look) is dict:
                    self._change(look)
                if type(taken) is int:
                    self._taken = max(self._taken, min(taken, self._number))
            except (ValueError, AttributeError, msgspec.DecodeError):
                await self._websocket.close(1003)
                return
            self._turn.set()

    def _change(self, look: dict[str, Any]) -> None:
        known = {name: params for name, params in look.items() if name in self._sections and type(params) is dict}
        for name in self._sent.keys() - known.keys():
            del self._sent[name]
        for name, params in known.items():
            if self._look.get(name, {}).get("epoch") != params.get("epoch"):
                self._sent.pop(name, None)  # another part of the page looks now, and has nothing yet
            if self._look.get(name) != params:
                self._due.pop(name, None)
        self._look = known

    async def _tell(self) -> None:
        clock = asyncio.get_running_loop().time
        last = clock() - HEARTBEAT
        try:
            while True:
                began = clock()
                if self._taken == self._number:
                    changed = await self._changes()
                    if changed or clock() - last >= HEARTBEAT:
                        self._number += 1
                        frame = {"n": self._number, "at": time.time(), "sections": changed}
                        await self._websocket.send_text(_encode(frame).decode())
                        last = clock()
                self._turn.clear()
                rest = TICK - (clock() - began)
                await asyncio.sleep(max(rest, 0.02))
                if self._taken != self._number:
                    await self._turn.wait()
        except (WebSocketDisconnect, RuntimeError, OSError):
            return

    async def _changes(self) -> dict[str, View]:
        changed: dict[str, View] = {}
        clock = asyncio.get_running_loop().time
        for name, params in self._look.items():
            now = clock()
            if now < self._due.get(name, now):
                continue
            seconds, compute = self._sections[name]
            self._due[name] = now + seconds
            try:
                view = await compute(params) or {"missing": True}
            except Exception as error:
                view = {"failed": type(error).__name__}
                if name not in self._failed:
                    self._failed.add(name)
                    stack = traceback_text(error)
                    _log.error("observer.section_failed", section=name, error=type(error).__name__, stack=stack)
            if params != self._look.get(name):
                continue  # the page looks elsewhere by now
            view["epoch"], view["ask"] = params.get("epoch"), params.get("ask")
            delta = difference(view, self._sent.get(name))
            if delta:
                changed[name] = delta
            self._sent[name] = view
        return changed


def difference(view: View, sent: View | None) -> View:
    """Return what has to be sent so that a page which has one view of a section has another one.

    Args:
        view: The view.
        sent: The one that the page has; None for none.

    Returns:
        The changed values, in `rows` the changed rows, and in `gone` the names that are not there any more; with
        `fresh` if the page has none. Empty if they are equal.

    Example:
        >>> difference({"a": 1, "rows": {"x": 1, "y": 2}}, {"a": 1, "b": 2, "rows": {"x": 1}})
        {'rows': {'y': 2}, 'gone': ['b']}
    """
    if sent is None:
        return {**view, "fresh": True}
    delta = {
        name: value for name, value in view.items() if name != "rows" and (name not in sent or sent[name] != value)
    }
    if "rows" in view:
        old = sent.get("rows") or {}
        rows = {key: row for key, row in view["rows"].items() if old.get(key) != row}
        if rows:
            delta["rows"] = rows
    gone = [name for name in sent if name not in view]
    if gone:
        delta["gone"] = gone
    return delta
