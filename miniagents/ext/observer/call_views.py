"""Interactions as a page sees them: the list of them, and one of them as a waterfall."""

import time
from itertools import chain, islice
from typing import Any

from miniagents.ext.observer.calls import CallRecord, Step, Trace
from miniagents.ext.observer.facts import CHARACTERS
from miniagents.ext.observer.following import Following
from miniagents.ext.observer.slices import Slices
from miniagents.ext.observer.slowness import causes_of
from miniagents.ext.observer.texts import Texts

MOST_ROWS = 300
"""The most rows of one window."""
SCANNED = 1_000
"""The number of the latest calls of one agent that are looked at."""
BINS = 160
"""The number of columns of the picture of a whole interaction."""
_EVERY = 64
_LONGEST_ERROR = 300
_LONGEST_SHOWN = 160

Look = dict[str, Any]
View = dict[str, Any]


def status_of(record: CallRecord) -> str:
    """Return the status of a call: "waiting", "running", "failed", "cancelled" or "done".

    Args:
        record: The call.
    """
    if record.until is not None:
        if record.error_type is None:
            return "done"
        return "cancelled" if record.error_type == "PromiseCancelledError" else "failed"
    return "running" if record.account is None or record.account.begun_at is not None else "waiting"


def window_of(look: Look, most: int = MOST_ROWS) -> tuple[int, int]:
    """Return the place of the first row of a window, and the number of its rows."""
    return max(int(look.get("first") or 0), 0), min(max(int(look.get("count") or 50), 1), most)


class CallViews:
    """Interactions for one connection.

    Args:
        following: The observer of the system.
        texts: The rule for texts.
    """

    def __init__(self, following: Following, texts: Texts) -> None:
        self._following = following
        self._texts = texts
        self._rows: tuple[Any, list[tuple[CallRecord, Step | None, int]]] = (None, [])
        self._causes: tuple[Any, View] = (None, {})

    # The list

    async def window(self, look: Look) -> View:
        """Return a window of the interactions from outside: those that are open first, the latest first.

        Args:
            look: `first` and `count`; `only`, "open" or "failed"; or `agent`, the path of an agent whose latest calls
                are shown, also those from other agents.
        """
        first, count = window_of(look)
        only, agent = look.get("only"), look.get("agent")
        following = self._following
        traces, of = following.traces, len(following.traces)
        if agent:
            calls = following.of_path.get(str(agent), {})
            of = len(calls)
            latest = list(islice(reversed(calls.values()), SCANNED))
            records = [record for record in latest if not record.is_over]
            records += [record for record in latest if record.is_over]
            total = of
        elif only == "open":
            records = [trace.root for trace in reversed(following.live.values())]
            total = len(records)
        elif only == "failed":
            records = await self._failed()
            total = len(records)
        else:
            done = (trace for trace in reversed(traces.values()) if not trace.open)
            shown = islice(chain(reversed(following.live.values()), done), first + count)
            records = [trace.root for trace in shown]
            total = of
        rows = {str(record.id): self._row(record, alone=bool(agent)) for record in records[first : first + count]}
        recorder = following.recorder
        return {
            "rows": rows,
            "order": list(rows),
            "first": first,
            "total": total,
            "of": of,
            "oldest": recorder.oldest_at,
            "dropped": recorder.dropped["call"],
        }

    async def _failed(self) -> list[CallRecord]:
        """Return the first calls of the interactions in which a call failed, the latest first."""
        failed, slices = [], Slices()
        for number, trace in enumerate(list(reversed(self._following.traces.values()))):
            if trace.failures:
                failed.append(trace.root)
            if not number % _EVERY and slices.is_over:
                await slices.next()
        return failed

    def _row(self, record: CallRecord, *, alone: bool) -> View:
        trace, now, used = record.trace, self._following.now, record.uses
        until = record.end if alone else trace.until
        status = status_of(record)
        if not alone and trace.is_open and record.until is not None:
            status = "running"  # over is an interaction when nothing below it is open
        row: View = {
            "key": str(record.id),
            "id": record.id,
            "trace": trace.id,
            "agent": record.alias,
            "path": record.path,
            "status": status,
            "started": wall(record.started, now),
            "tokens": used.tokens,
            "cost": used.cost,
            "attempts": used.attempts,
            "calls": 1 + len(record.below or ()) if alone else len(trace.records) + trace.dropped,
            "failures": trace.failures,
        }
        if record.label is not None:
            row["label"] = record.label[:_LONGEST_SHOWN]
        if until is not None:
            row["took"] = round(until - record.started, 4)
        if record.error is not None:
            row["error"] = self._error(record)
        said = self._texts.of(self._following.input_of(record))
        if said:
            row["input"] = said[:_LONGEST_SHOWN]
        return row

    def _error(self, record: CallRecord) -> str:
        seen = self._texts.of(record.error)
        return seen[:_LONGEST_ERROR] if seen is not None else str(record.error_type)

    # One of them

    async def waterfall(self, look: Look) -> View | None:
        """Return a window of the rows of one interaction, and what is known of the whole of it.

        Args:
            look: `id`, the number of a call of it; `first` and `count`; `folded`, the calls whose calls are hidden;
                `selected`, the number of the call that is shown in full.

        Returns:
            The view; None if nothing is kept of it.
        """
        following = self._following
        record = following.records.get(int(look.get("id") or 0))
        if record is None:
            return None
        trace, now = record.trace, following.now
        first, count = window_of(look)
        all_rows = await self._all_rows(trace, frozenset(look.get("folded") or ()))
        rows = {}
        for call, step, depth in all_rows[first : first + count]:
            row = self._call_row(call, depth, now) if step is None else _step_row(call, step, depth, now)
            rows[row["key"]] = row
        selected = following.records.get(int(look.get("selected") or record.id), record)
        if selected.trace is not trace:
            selected = record
        begins = trace.root.started
        ends = trace.until if trace.until is not None else now
        return {
            "rows": rows,
            "order": list(rows),
            "first": first,
            "total": len(all_rows),
            "id": trace.id,
            "head": {
                **self._row(trace.root, alone=False),
                "open": trace.open,
                "dropped": trace.dropped,
                "span": [wall(begins, now), wall(ends, now)],
            },
            "selected": self._details(selected, now),
            **await self._whole(trace, now),
        }

    async def _all_rows(self, trace: Trace, folded: frozenset[Any]) -> list[tuple[CallRecord, Step | None, int]]:
        """Return all rows in the order of the tree; the same list until something has changed."""
        key = (trace.id, trace.version, folded)
        known, rows = self._rows
        if known == key:
            return rows
        rows, slices, steps = [], Slices(), 0
        stack = [(record, 0) for record in list(trace.tops())][::-1]
        while stack:
            record, depth = stack.pop()
            rows.append((record, None, depth))
            if record.id not in folded:
                rows += [(record, step, depth + 1) for step in record.steps or ()]
                for call in reversed(record.below or ()):
                    if call.id in trace.records:
                        stack.append((call, depth + 1))
                    steps += 1
                    if not steps % _EVERY and slices.is_over:
                        await slices.next()
            if not len(rows) % _EVERY and slices.is_over:
                await slices.next()
        self._rows = (key, rows)
        return rows

    async def _whole(self, trace: Trace, now: float) -> View:
        """Return why the interaction takes its time, and the picture of the whole; at most once a second for one that
        changes."""
        key = (trace.id, trace.version, 0 if trace.until is not None else int(now))
        if self._causes[0] == key:
            return self._causes[1]
        causes, agents = await causes_of(trace.root, now)
        top = sorted(agents.items(), key=lambda agent: -agent[1])[:6]
        view = {
            "causes": {cause: round(seconds, 4) for cause, seconds in causes.items()},
            "agents": [[alias, round(seconds, 4)] for alias, seconds in top],
            "bins": await _bins(trace, now),
        }
        self._causes = (key, view)
        return view

    def _call_row(self, record: CallRecord, depth: int, now: float) -> View:
        used = record.uses
        row: View = {
            "key": str(record.id),
            "id": record.id,
            "depth": depth,
            "agent": record.alias,
            "path": record.path,
            "status": status_of(record),
            "from": wall(record.started, now),
            "tokens": used.own_tokens,
            "cost": used.own_cost,
            "below": len(record.below or ()) + len(record.steps or ()),
        }
        if record.label is not None:
            row["label"] = record.label[:_LONGEST_SHOWN]
        if used.begun is not None:
            row["begun"] = wall(used.begun, now)
        if record.steps and record.steps[0].kind == "model":
            row["asked"] = wall(record.steps[0].begun, now)  # what comes before is the wait for the rate limit
        if record.until is not None:
            row["to"] = wall(record.until, now)
        if record.end is not None:
            row["over"] = wall(record.end, now)
        if record.error is not None:
            row["error"] = self._error(record)
        if used.attempts:
            row["attempts"] = used.attempts
        return row

    def _details(self, record: CallRecord, now: float) -> View:
        """Return what is known of one call, its texts included."""
        live = [step.text for step in record.steps or () if step.kind == "model" and step.until is None]
        last = [step.text for step in record.steps or () if step.kind == "model"]
        stream = live[-1] if live else last[-1] if last else None
        texts = (
            ("input", self._following.input_of(record)),
            ("output", self._following.reply_of(record)),
            ("stream", stream),
        )
        return {
            **self._call_row(record, 0, now),
            "parent": record.parent.id if record.parent is not None else None,
            "error_type": record.error_type,
            "trace": _agents(record),
            "streaming": bool(live),
            "texts": {name: self._text(text) for name, text in texts if text},
            "errors": [self._texts.of(error) for error in record.errors or ()],
        }

    def _text(self, text: str) -> View:
        """Return the end of a text, with its size; more comes by range."""
        seen = self._texts.of(text)
        if seen is None:
            return {"size": len(text)}
        return {"size": len(seen), "text": seen[-CHARACTERS:], "from": max(len(seen) - CHARACTERS, 0)}


def wall(at: float, now: float) -> float:
    """Return the time of a moment of the loop, in seconds since the epoch.

    Args:
        at: The moment, on `loop.time()`.
        now: The time on the same clock.
    """
    return round(time.time() - now + at, 4)


def _agents(record: CallRecord) -> list[str]:
    agents = [record.alias]
    above = record.parent
    while above is not None and len(agents) < _LONGEST_TRACE:
        agents.append(above.alias)
        above = above.parent
    return agents


_LONGEST_TRACE = 32


def _step_row(record: CallRecord, step: Step, depth: int, now: float) -> View:
    number = (record.steps or []).index(step)
    row: View = {
        "key": f"{record.id}.{number}",
        "id": record.id,
        "depth": depth,
        "step": step.kind,
        "agent": step.name,
        "status": "running" if step.until is None else "failed" if step.error is not None else "done",
        "from": wall(step.begun, now),
        "tokens": step.tokens,
        "characters": step.characters,
    }
    if step.first is not None:
        row["first"] = wall(step.first, now)
    if step.until is not None:
        row["to"] = wall(step.until, now)
    if step.error is not None:
        row["error"] = step.error
    if step.is_cached:
        row["cached"] = True
    return row


async def _bins(trace: Trace, now: float) -> list[int]:
    """Return how many calls were under way in each column of the picture of the whole."""
    begins = trace.root.started
    ends = trace.until if trace.until is not None else now
    width = (ends - begins) / BINS or 1e-9
    steps = [0] * (BINS + 1)
    slices = Slices()
    await slices.next()  # the copy of a hundred thousand records takes a slice of its own
    for number, record in enumerate(list(trace.records.values())):
        until = record.until if record.until is not None else now
        steps[min(max(int((record.started - begins) / width), 0), BINS - 1)] += 1
        steps[min(max(int((until - begins) / width), 0) + 1, BINS)] -= 1
        if not number % _EVERY and slices.is_over:
            await slices.next()
    bins, level = [], 0
    for step in steps[:BINS]:
        level += step
        bins.append(level)
    return bins
