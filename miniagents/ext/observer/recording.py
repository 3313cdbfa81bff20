"""`Recorder`: writes what the page would show to a file, a frame a second."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from typing import Any

from miniagents.errors import MiniAgentsError
from miniagents.ext.observer.call_views import CallViews
from miniagents.ext.observer.connection import Section, difference
from miniagents.ext.observer.following import Following
from miniagents.ext.observer.recording_file import CALL, DELTA, KEY, RecordingWriter, packed
from miniagents.ext.observer.slices import Slices
from miniagents.ext.observer.texts import Texts
from miniagents.ext.observer.tree_view import MOST_ROWS
from miniagents.log import log as _log
from miniagents.promising.tracebacks import traceback_text

DEFAULT_BYTES = 64 * 2**20
"""The most bytes of a recording."""
SECONDS = 1.0
"""Seconds between two frames."""
KEY_EVERY = 60
"""The number of frames after which one has the whole state."""
ROWS = 2_000
"""The most rows of the tree, and of one interaction, that are recorded."""
CALLS = 50
"""The most interactions that are recorded in full in one frame; those beyond are only counted."""

_LISTS = ("summary", "sky", "calls", "happenings", "letters", "allowances", "waits", "nodes")
_LAST = ("summary", "calls", "happenings", "letters")
"""What the last frame tells anew: the tree has ended by then, and is shown as it was a second before."""

_END_SECONDS = 5.0
"""Seconds for the last frame."""

View = dict[str, Any]


class Recorder:
    """Records one system. A disk that fails ends the recording, and nothing else.

    Args:
        path: The file.
        following: The observer of the system.
        texts: The rule for texts.
        sections: Makes the sections that the page can look at, by name, with this rule, once the system has started.
        most_bytes: The most bytes of the file.

    Attributes:
        failure: The text of the error that has ended the recording, or None.
        frames: The number of frames so far.
        left_out: The number of interactions that ended too many at once, and are not in the recording in full.
    """

    def __init__(
        self,
        path: Path,
        following: Following,
        texts: Texts,
        sections: Callable[[], dict[str, Section]],
        most_bytes: int,
    ) -> None:
        self.failure: str | None = None
        self.left_out = 0
        self._path = path
        self._following = following
        self._calls = CallViews(following, texts)
        self._new_sections = sections
        self._sections: dict[str, Section] = {}
        self._most_bytes = most_bytes
        self._writer: RecordingWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._sent: View = {}
        self.frames = 0
        self._sampled = 0.0
        self._over: deque[int] = deque(maxlen=CALLS)

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the file, and record from now on."""
        try:
            self._writer = RecordingWriter(self._path, self._most_bytes)
        except (OSError, MiniAgentsError) as error:
            self._fail(error)
            return
        self._sections = self._new_sections()
        self._task = loop.create_task(self._run(), context=Context())

    def over(self, number: int) -> None:
        """An interaction from outside is over, and is recorded in full with the next frame.

        Args:
            number: The number of its first call.
        """
        if len(self._over) == CALLS:
            self.left_out += 1
        self._over.append(number)

    async def aclose(self) -> None:
        """Record what has happened last, and close the file."""
        self._ending.set()
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait({task}, timeout=_END_SECONDS)
            task.cancel()
            await asyncio.wait({task})
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _run(self) -> None:
        try:
            while not self._ending.is_set():
                await self._record(_LISTS)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), SECONDS)
            await self._record(_LAST)
        except Exception as error:
            self._fail(error)

    async def _record(self, names: tuple[str, ...]) -> None:
        writer = self._writer
        assert writer is not None  # `begin` has opened it
        await asyncio.to_thread(writer.write, await self._new_frames(names))

    def _fail(self, error: Exception) -> None:
        self.failure = f"{type(error).__name__}: {error}"
        path = str(self._path)
        _log.error("observer.recording_failed", file=path, error=self.failure, stack=traceback_text(error))
        self._following.add("recording", "/", text=f"The recording to {path} has ended: {self.failure}")

    async def _new_frames(self, names: tuple[str, ...]) -> list[bytes]:
        """Return the frames of this moment."""
        at = time.time()
        frames = [await self._call_frame(number, at) for number in self._taken()]
        views = {name: await self._sections[name][1]({"count": MOST_ROWS}) or {} for name in names}
        if "sky" in names:
            views["tree"] = await self._tree()
        else:
            views["summary"]["actors"] = self._sent["summary"]["actors"]
        views = {**self._sent, **views}
        is_key = not self.frames % KEY_EVERY
        samples = [s for s in self._following.samples if is_key or s[0] > self._sampled]
        if samples:
            self._sampled = samples[-1][0]
        deltas = {name: difference(view, None if is_key else self._sent.get(name)) for name, view in views.items()}
        content = {
            "sections": {name: delta for name, delta in deltas.items() if delta},
            "samples": samples,
            "left_out": self.left_out,
        }
        if is_key:
            content["system"] = self._following.system.name
        self._sent = views
        self.frames += 1
        frame = await asyncio.to_thread(packed, KEY if is_key else DELTA, at, content)
        return [*(call for call in frames if call is not None), frame]

    def _taken(self) -> list[int]:
        numbers = list(self._over)
        self._over.clear()
        return numbers

    async def _call_frame(self, number: int, at: float) -> bytes | None:
        view = await self._calls.waterfall({"id": number, "count": ROWS})
        if view is None:
            return None  # the flight recorder has dropped it by now
        while len(view["order"]) < min(view["total"], ROWS):
            more = await self._calls.waterfall({"id": number, "first": len(view["order"]), "count": ROWS})
            if more is None or view["rows"].keys() >= more["rows"].keys():
                break
            _extend(view, more)
        calls = {row["id"] for row in view["rows"].values()}
        return await asyncio.to_thread(packed, CALL, at, view, calls)

    async def _tree(self) -> View:
        """Return the whole tree, unfolded, up to a number of rows."""
        unfolded = await self._paths_with_children()
        compute = self._sections["tree"][1]
        tree: View = await compute({"open": unfolded, "count": MOST_ROWS}) or {"rows": {}, "order": [], "total": 0}
        while len(tree["order"]) < min(tree["total"], ROWS):
            more = await compute({"open": unfolded, "first": len(tree["order"]), "count": MOST_ROWS})
            if more is None or tree["rows"].keys() >= more["rows"].keys():
                break
            _extend(tree, more)
        return tree

    async def _paths_with_children(self) -> list[str]:
        slices = Slices()
        paths: list[str] = []
        todo = [self._following.system.root]
        for cell in todo:
            if len(paths) >= ROWS:
                break
            paths.append(cell.path or "/")
            todo += [child for child in (cell.children or {}).values() if child.children]
            if slices.is_over:
                await slices.next()
        return paths


def _extend(view: View, more: View) -> None:
    """Put the rows of another window behind those of a view. A row that has moved meanwhile stays where it is."""
    view["order"] += [key for key in more["order"] if key not in view["rows"]]
    view["rows"] = {**more["rows"], **view["rows"]}
