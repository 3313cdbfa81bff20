"""The other lists of the page: happenings, dead letters, limits, budgets, jobs, approvals, nodes."""

import time
from itertools import islice
from typing import Any

import msgspec

from miniagents.errors import MiniAgentsError
from miniagents.ext.observer.call_views import CallViews, window_of
from miniagents.ext.observer.facts import kind_of, text_of
from miniagents.ext.observer.following import Following
from miniagents.ext.observer.happenings import Happening
from miniagents.ext.observer.slices import Slices
from miniagents.ext.observer.texts import Texts
from miniagents.ext.observer.tree_view import kind_of_cell

MOST = 200
SCANNED = 1_000
"""The number of the latest happenings, or calls of one agent, that are looked at."""
_STREAMS = 4
"""The live texts that are shown of one agent."""
_EVERY = 64
_LONGEST_ERROR = 600
_SHOWN = 600
"""The characters of a live text that are shown, from its end."""

Look = dict[str, Any]
View = dict[str, Any]


class Lists:
    """The lists of one system for one connection.

    Args:
        system: The system.
        following: Its observer.
        texts: The rule for texts.
    """

    def __init__(self, system: Any, following: Following, texts: Texts) -> None:
        self._system = system
        self._following = following
        self._texts = texts

    def summary(self) -> View:
        """Return the counts of the system, and the state of the recorder."""
        system, following = self._system, self._following
        children, recorder = system.root.children, following.recorder
        return {
            "system": system.name,
            "actors": children.actors if children is not None else 0,
            "open": following.open,
            **following.totals,
            "cost": round(following.cost, 6) if following.is_cost_known else None,
            "letters": system.dead_letters.total,
            "kept_letters": len(system.dead_letters),
            "texts": self._texts.level,
            "recorder": {
                "bytes": recorder.bytes,
                "budget": recorder.budget_bytes,
                "entries": len(recorder),
                "dropped": recorder.dropped.total(),
                "dropped_until": recorder.dropped_until,
                "oldest": recorder.oldest_at,
            },
            "has": {
                "journal": system.journal is not None,
                "cluster": system.cluster is not None,
            },
        }

    def samples(self, look: Look) -> View:
        """Return the samples of the last minutes that are newer than `since`."""
        since = float(look.get("since") or 0.0)
        samples = [sample for sample in self._following.samples if sample[0] > since]
        return {"samples": samples}

    async def happenings(self, look: Look) -> View:
        """Return a window of what happened, the latest first.

        Args:
            look: `first` and `count`; `kinds`, those that are shown, or none for all; `path`, an actor: what happened
                to it and below it.
        """
        first, count = window_of(look, MOST)
        kinds, path = set(look.get("kinds") or ()), look.get("path")
        everything = self._following.happenings
        if kinds or path:
            # What happened to one actor is looked for among the latest, since that is asked for all the time.
            latest = islice(reversed(everything.values()), None if kinds else SCANNED)
            wanted, slices = [], Slices()
            for number, happening in enumerate(list(latest)):
                if (not kinds or happening.kind in kinds) and (not path or _is_below(happening.path, path)):
                    wanted.append(happening)
                if not number % _EVERY and slices.is_over:
                    await slices.next()
            total = len(wanted)
        else:
            wanted = list(islice(reversed(everything.values()), max(first + count, SCANNED)))
            total = len(everything)
        rows = {str(happening.number): self.happening(happening) for happening in wanted[first : first + count]}
        recorder = self._following.recorder
        return {
            "rows": rows,
            "order": list(rows),
            "first": first,
            "total": total,
            "of": len(everything),
            "oldest": recorder.oldest_at,
            "dropped": recorder.dropped.total() - recorder.dropped["call"],
            "spark": _spark(wanted[:SCANNED]),
        }

    def happening(self, happening: Happening) -> View:
        """Return a happening as it is shown."""
        text = self._texts.of(happening.text)
        view: View = {
            "key": str(happening.number),
            "kind": happening.kind,
            "path": happening.path,
            "at": round(happening.at, 3),
            "type": happening.error_type,
        }
        if text is not None:
            view["text"] = text[:_LONGEST_ERROR]
        for name in ("call", "uid", "by", "facts"):
            value = getattr(happening, name)
            if value is not None:
                view[name] = value
        if happening.ring:
            view["ring"] = happening.ring
        if happening.trace:
            view["agents"] = happening.trace
        return view

    def letters(self, look: Look) -> View:
        """Return a window of the dead letters that are kept, the latest first."""
        first, count = window_of(look, MOST)
        letters = list(self._system.dead_letters)[::-1]
        rows = {}
        for letter in letters[first : first + count]:
            text = self._texts.of(text_of(letter.message))
            rows[str(letter.id)] = {
                "key": str(letter.id),
                "id": letter.id,
                "to": letter.receiver.path,
                "alive": letter.receiver.is_alive,
                "from": letter.sender.path if letter.sender is not None else None,
                "reason": letter.reason.value,
                "at": round(letter.dropped_at, 3),
                "kind": kind_of(letter.message),
                "text": text[:_LONGEST_ERROR] if text is not None else None,
            }
        return {
            "rows": rows,
            "order": list(rows),
            "first": first,
            "total": len(letters),
            "counts": {reason.value: number for reason, number in self._system.dead_letters.counts.items()},
        }

    def allowances(self) -> View:
        """Return the limits and budgets of the system."""
        return {
            "limits": [msgspec.to_builtins(limit) for limit in self._system.limits()],
            "budgets": [msgspec.to_builtins(budget) for budget in self._system.budgets()],
        }

    async def waits(self) -> View:
        """Return what waits for an answer from outside, and the jobs that have not ended."""
        system = self._system
        view: View = {"pending": [], "jobs": []}
        try:
            view["pending"] = [
                {
                    "id": wait.id,
                    "job": wait.job,
                    "name": wait.name,
                    "agent": wait.agent,
                    "prompt": self._texts.of(wait.prompt),
                    "type": wait.type,
                    "since": wait.since,
                    "due": wait.due_at,
                    "owner": wait.owner,
                }
                for wait in (await system.pending())[:MOST]
            ]
            if system.journal is not None:
                view["jobs"] = [
                    {
                        "name": job.name,
                        "state": job.state.value,
                        "agent": job.agent,
                        "started": job.started_at,
                        "changed": job.changed_at,
                    }
                    for job in (await system.unfinished_jobs())[:MOST]
                ]
        except MiniAgentsError as error:
            view["error"] = f"{type(error).__name__}: {error}"
        return view

    def nodes(self) -> View:
        """Return the nodes of the cluster."""
        if self._system.cluster is None:
            return {"nodes": []}
        return {
            "nodes": [
                {
                    "name": node.name,
                    "epoch": node.epoch,
                    "state": node.state,
                    "actors": node.actors,
                    "lag": round(node.lag, 3),
                    "busy": node.busy,
                    "silence": round(node.silence, 1),
                    "unreached": node.unreached,
                }
                for node in self._system.nodes()
            ]
        }

    async def actor(self, look: Look, calls: CallViews) -> View:
        """Return what is known of one actor: alive, or its last facts.

        Args:
            look: `path`.
            calls: The views of its calls.
        """
        system, path = self._system, str(look.get("path") or "/")
        ref = system.lookup(path) if path != "/" else None
        happened = await self.happenings({"path": path, "count": 30})
        view: View = {"path": path, "happened": [happened["rows"][key] for key in happened["order"]]}
        if path != "/":
            view["calls"] = await calls.window({"agent": path, "count": 20})
        ended = self._following.ended.get(path)
        if ref is None and path != "/":
            view["state"] = "ended" if ended is not None else "unknown"
            if ended is not None:
                view["tombstone"] = self.happening(ended)
            return view
        info = system.tree(path, depth=0)
        backlog = system.backlog(path, limit=200)
        cell = cell_at(system, path)
        view |= {
            "state": info.state,
            "kind": kind_of_cell(cell) if path != "/" else "system",
            "uid": info.uid,
            "epoch": info.epoch,
            "node": info.node,
            "restarts": info.restarts,
            "handled": info.handled,
            "mailbox": info.mailbox_depth,
            "below": [info.below.actors, info.below.restarts, info.below.failures],
            "types": backlog.types,
            "supervisor": cell.is_supervisor,
        }
        if info.oldest_age is not None:
            view["oldest"] = round(time.time() - info.oldest_age, 1)
        if info.message_age is not None:
            view["since"] = round(time.time() - info.message_age, 1)
        if info.last_error is not None:
            view["error"] = self._texts.of(info.last_error) or f"{len(info.last_error)} characters"
        options = cell.props.options
        view["options"] = {
            "mailbox": options.mailbox.capacity,
            "durable": options.durable,
            "handler_timeout": options.handler_timeout,
        }
        view["streams"] = self._streams(path)
        return view

    def _streams(self, path: str) -> list[View]:
        """Return the live texts of the calls of an agent."""
        streams = []
        calls = self._following.of_path.get(path, {})
        for record in islice(reversed(calls.values()), SCANNED):
            if record.until is not None:
                continue
            steps = [step for step in record.steps or () if step.until is None]
            live = [(step.name, step.text) for step in steps] or [("reply", self._following.reply_of(record))]
            for name, text in live:
                if text is not None or steps:
                    seen = self._texts.of(text) or ""
                    streams.append({"call": record.id, "name": name, "text": seen[-_SHOWN:]})
        return streams[:_STREAMS]


def cell_at(system: Any, path: str) -> Any:
    """Return the cell at a path, or None.

    Args:
        system: The system.
        path: The path.
    """
    cell = system.root
    for name in path.strip("/").split("/") if path.strip("/") else ():
        cell = cell.children.get(name) if cell is not None and cell.children else None
        if cell is None:
            return None
    return cell


def _is_below(path: str, top: str) -> bool:
    return top == "/" or path == top or path.startswith(f"{top}/")


def _spark(happenings: list[Happening]) -> list[int]:
    """Return how many happened in each of the last 60 ten seconds."""
    bins, now = [0] * 60, time.time()
    for happening in happenings:
        place = 59 - int((now - happening.at) / 10)
        if 0 <= place < 60:
            bins[place] += 1
    return bins
