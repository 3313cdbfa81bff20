"""The supervision tree as a page sees it: the visible rows of it, with groups in the place of many equal siblings."""

import asyncio
import time
from collections.abc import Iterator
from heapq import nlargest
from typing import Any

from miniagents.agents.activation import ActivationRoot
from miniagents.ext.observer.slices import Slices
from miniagents.ext.observer.texts import Texts

GROUPED = 20
"""The number of siblings of a kind above which they are one row."""
SHOWN = 3
"""The number of failing ones, and of slow ones, that are shown beside a group."""
MOST_ROWS = 200
"""The most rows of one window."""
_LONGEST_ERROR = 300
_EVERY = 128
SKY = 400
"""The most actors in the picture of the tree."""
SKY_DEPTH = 5
_MOST_GROUPS = 500
_PER_SECOND = 1_000
"""The number of actors that are counted in a second for one group: what is larger is counted less often."""

Row = dict[str, Any]
Entry = tuple[Any, int, str | None, list[Any] | None]
"""A cell, its depth, and for a group below it the kind and the members."""


def kind_of_cell(cell: Any) -> str:
    """Return the kind of an actor: the alias of its agent, its class, or what its supervisor is.

    Args:
        cell: The cell.
    """
    agent = getattr(cell, "agent", None)
    if agent is not None:
        return str(agent.alias)
    if isinstance(cell, ActivationRoot):
        return "agents in use"
    if cell.is_supervisor:
        return "pool" if hasattr(cell, "pick") else "supervisor"
    factory = cell.props.factory
    factory = getattr(factory, "func", factory)
    name = getattr(factory, "__name__", "")
    return name if isinstance(name, str) and name != "<lambda>" else "actor"


class Group:
    """Many siblings of a kind, with counts by state, the failing ones and the slowest ones.

    Attributes:
        counts: The number of members by state.
        waiting: The messages that wait for them.
        restarts: The restarts of all of them.
        failing: The number of those that have failed or were restarted.
        beside: The members that are shown beside the group.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.waiting = 0
        self.restarts = 0
        self.failing = 0
        self.beside: list[Any] = []
        self._due: float | None = None

    async def count(self, members: list[Any], slices: Slices) -> None:
        """Count the members, unless that was done a moment ago.

        Args:
            members: The cells.
            slices: The slices of the work.
        """
        now = asyncio.get_running_loop().time()
        if self._due is not None and now < self._due:
            return
        self._due = now + len(members) / _PER_SECOND
        counts, waiting, restarts = dict[str, int](), 0, 0
        failing: list[Any] = []
        slow: list[tuple[float, int, Any]] = []
        for number, cell in enumerate(members):
            state = cell.state._value_  # without a call: it is one for each of ten thousand actors
            counts[state] = counts.get(state, 0) + 1
            if cell.queue:
                waiting += cell.depth
                oldest = cell.oldest_at
                if oldest is not None:
                    slow.append((-oldest, number, cell))
            if cell.restarts or cell.last_error is not None:
                restarts += cell.restarts
                failing.append(cell)
            if not number % _EVERY and slices.is_over:
                await slices.next()
        self.counts, self.waiting, self.restarts, self.failing = counts, waiting, restarts, len(failing)
        worst = nlargest(SHOWN, failing, key=lambda cell: (cell.last_error is not None, cell.restarts))
        slowest = [cell for _, _, cell in nlargest(SHOWN, slow)]
        self.beside = list(dict.fromkeys([*worst, *slowest]))


class TreeView:
    """The tree for one connection, which remembers the counts of its groups.

    Args:
        system: The system.
        texts: The rule for texts.
    """

    def __init__(self, system: Any, texts: Texts) -> None:
        self._system = system
        self._texts = texts
        self._groups: dict[tuple[int, str], Group] = {}
        self._below_of: dict[int, tuple[Any, float, Any]] = {}

    async def window(self, look: dict[str, Any]) -> dict[str, Any]:
        """Return the rows of a window of the tree.

        Args:
            look: `open`, the paths and groups that are unfolded ("-/" for a folded top); `first` and `count`, the
                window.

        Returns:
            `rows` by key, the `order` of the keys, the place `first` of the first one, and `total`.
        """
        unfolded = {str(path) for path in look.get("open") or ()}
        first = max(int(look.get("first") or 0), 0)
        count = min(max(int(look.get("count") or 50), 1), MOST_ROWS)
        slices = Slices()
        number = 0
        shown: list[tuple[Any, int, Group | None, str, bool]] = []
        root = self._system.root
        stack: list[Iterator[Entry]] = [iter([(root, 0, None, None)])]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
                continue
            cell, depth, kind, members = entry
            if members is not None:
                assert kind is not None  # a group has a kind
                counts = await self._group(cell, kind, members, slices)
                is_open = f"{cell.path}/*{kind}" in unfolded
                if first <= number < first + count:
                    shown.append((cell, depth, counts, kind, is_open))
                number += 1
                inside = members if is_open else [member for member in counts.beside if member.is_alive]
                if is_open and not any(f"{member.path}" in unfolded for member in inside if member.children):
                    # Rows without children that are outside of the window are only counted.
                    begin, end = max(first - number, 0), max(first + count - number, 0)
                    shown += [(member, depth + 1, None, "", False) for member in inside[begin:end]]
                    number += len(inside)
                else:
                    stack.append((member, depth + 1, None, None) for member in inside)
            else:
                path = cell.path or "/"
                is_open = bool(cell.children) and (path in unfolded or (depth == 0 and f"-{path}" not in unfolded))
                if first <= number < first + count:
                    shown.append((cell, depth, None, "", is_open))
                number += 1
                if is_open:
                    stack.append(iter(await self._below(cell, depth + 1, slices)))
            if not number % _EVERY and slices.is_over:
                await slices.next()
        rows = {}
        now = self._system.time()
        for cell, depth, group, kind, is_open in shown:
            row = (
                self._row(cell, depth, is_open, now) if group is None else _group_row(cell, depth, group, kind, is_open)
            )
            rows[row["key"]] = row
        return {"rows": rows, "order": list(rows), "first": first, "total": number}

    async def sky(self, look: dict[str, Any]) -> dict[str, Any]:
        """Return the tree as a picture: its upper levels, level by level, and what is below them as counts.

        Returns:
            `rows` by key, each with its `parent`, and their `order`.
        """
        slices = Slices()
        rows: dict[str, Row] = {}
        todo: list[tuple[Any, str, int]] = [(self._system.root, "", 0)]
        for cell, parent, depth in todo:
            key = str(cell.uid)
            children = cell.children
            rows[key] = {
                "key": key,
                "parent": parent,
                "path": cell.path or "/",
                "name": cell.name or self._system.name,
                "kind": kind_of_cell(cell) if cell.parent is not None else "system",
                "state": cell.state.value,
                "handled": cell.handled,
                "mailbox": cell.depth,
                "restarts": cell.restarts,
                "failed": cell.last_error is not None,
                "size": children.actors if children is not None else 0,
            }
            if children and depth < SKY_DEPTH:
                for child, _, kind, members in await self._below(cell, depth + 1, slices):
                    if members is None:
                        if len(todo) < SKY:
                            todo.append((child, key, depth + 1))
                        continue
                    group = await self._group(cell, str(kind), members, slices)
                    rows[f"{key}*{kind}"] = {
                        "key": f"{key}*{kind}",
                        "parent": key,
                        "path": f"{cell.path}/*{kind}",
                        "name": kind,
                        "kind": kind,
                        "size": len(members),
                        "counts": group.counts,
                        "mailbox": group.waiting,
                        "restarts": group.restarts,
                        "failed": group.failing > 0,
                    }
            if slices.is_over:
                await slices.next()
        return {"rows": rows, "order": list(rows)}

    async def _group(self, cell: Any, kind: str, members: list[Any], slices: Slices) -> Group:
        key = (cell.uid, kind)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= _MOST_GROUPS:
                del self._groups[next(iter(self._groups))]
            group = self._groups[key] = Group()
        await group.count(members, slices)
        return group

    async def _below(self, cell: Any, depth: int, slices: Slices) -> list[Entry]:
        """Return the children of a cell, those of a kind that are many as one group.

        What the children are is worked out again only when there are others: uids grow, so that another youngest child
        or another number of them tells. Of very many children, others are seen a moment later.
        """
        children = cell.children
        if len(children) <= GROUPED:
            return [(child, depth, None, None) for child in children.values()]
        now = asyncio.get_running_loop().time()
        state = (len(children), next(reversed(children.values())).uid)
        known, due, below = self._below_of.get(cell.uid, (None, 0.0, ()))
        if known is None or (known != state and now >= due):
            below = await _grouped(list(children.values()), slices)
            if len(self._below_of) >= _MOST_GROUPS:
                del self._below_of[next(iter(self._below_of))]
            due = now + (len(children) / _PER_SECOND if len(children) > _PER_SECOND else 0.0)
            self._below_of[cell.uid] = (state, due, below)
        return [
            (child or cell, depth, kind or None, members)
            for child, kind, members in below
            if child is None or child.is_alive
        ]

    def _row(self, cell: Any, depth: int, is_open: bool, now: float) -> Row:
        wall = time.time() - now
        oldest, children = cell.oldest_at, cell.children
        error = cell.last_error
        row: Row = {
            "key": f"{cell.uid}",
            "path": cell.path or "/",
            "name": cell.name or self._system.name,
            "uid": cell.uid,
            "depth": depth,
            "kind": kind_of_cell(cell) if cell.parent is not None else "system",
            "state": cell.state.value,
            "mailbox": cell.depth,
            "handled": cell.handled,
            "restarts": cell.restarts,
            "open": is_open,
            "children": len(children) if children else 0,
        }
        if oldest is not None:
            row["oldest"] = round(wall + oldest, 1)
        if cell.current is not None and cell.since:
            row["since"] = round(wall + cell.since, 1)
        if error is not None:
            seen = self._texts.of(error)
            row["error"] = seen[:_LONGEST_ERROR] if seen is not None else f"{len(error)} characters"
        if children is not None:
            row["below"] = [children.actors, children.restarts, children.failures]
        tokens = (cell.spent_tokens or 0) + (children.tokens if children is not None else 0)
        if tokens:
            row["tokens"] = tokens
        if cell.node_name:
            row["node"] = cell.node_name
        return row


async def _grouped(children: list[Any], slices: Slices) -> list[tuple[Any, str, list[Any] | None]]:
    """Return the children, each alone, or in the place of the first one of a kind the group of many."""
    kinds: dict[str, list[Any]] = {}
    for number, child in enumerate(children):
        kinds.setdefault(kind_of_cell(child), []).append(child)
        if not number % _EVERY and slices.is_over:
            await slices.next()
    below: list[tuple[Any, str, list[Any] | None]] = []
    for kind, members in kinds.items():
        if len(members) > GROUPED:
            below.append((None, kind, members))
        else:
            below += [(member, "", None) for member in members]
    return below


def _group_row(cell: Any, depth: int, group: Group, kind: str, is_open: bool) -> Row:
    return {
        "key": f"{cell.uid}*{kind}",
        "path": f"{cell.path}/*{kind}",
        "name": kind,
        "depth": depth,
        "kind": kind,
        "group": sum(group.counts.values()),
        "counts": group.counts,
        "mailbox": group.waiting,
        "restarts": group.restarts,
        "open": is_open,
    }
