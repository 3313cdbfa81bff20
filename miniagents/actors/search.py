"""The search for a deadlock: whether something is held up for ever, and in which ring.

Some things need all of what holds them up to go on (the whole of a sequence), others go on with any of it (the next
piece, where several streams may bring it; a handler in `gather`): the AND-OR model of Knapp (1987), in what one
process sees at once. All that is reached is taken for stuck until something turns up that may go on by itself: a task
that runs, sleeps, or waits for something that cannot be seen here, a call that is open, an ask whose answer is owed. In
doubt there is no deadlock, since a timeout ends a hang and nothing mends a false alarm.
"""

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Any

from miniagents.actors.helper_tasks import tasks_in_scope, waited_for_together

Holder = Any
"""What can hold something up: a node, a task, or a promise with the piece that is missing (None for the whole)."""

Wait = tuple[Any, int | None, "asyncio.Future[None]", Any]
"""What one task waits for: the promise, the piece (None for the whole), the future that wakes it, and the node that the
task belongs to, or None."""


class Held:
    """What a node waits for outside of its own code: an agent's actor for the call, a supervisor for a child.

    Attributes:
        by: The `Holder`.
    """

    __slots__ = ("by",)

    def __init__(self, by: Holder) -> None:
        self.by = by


class Search:
    """Whether something is stuck, and why.

    Args:
        waiting: What each task waits for.
        ignores_timeouts: Take what has a timeout of its own for stuck, too.
    """

    def __init__(self, waiting: dict[Any, Wait], *, ignores_timeouts: bool = False) -> None:
        self._waiting = waiting
        self._ignores_timeouts = ignores_timeouts
        self._causes: dict[Holder, tuple[bool, Collection[Holder]]] = {}
        self._users: dict[Holder, list[Holder]] = {}
        self._free: dict[Holder, None] = {}  # in the order in which that was found
        self._helpers: dict[Any, Collection[Any]] = {}  # the tasks that may be in groups with a task
        self._speakers: set[Any] = set()
        self._side_tasks: list[Any] = []
        self.is_passing = False  # something goes on that is about to do so, and may be stuck when the loop has turned

    def is_stuck(self, start: Holder) -> bool:
        """Whether it is held up for ever."""
        stack = [start]
        seen = {start}
        while stack:
            one = stack.pop()
            causes = self._held_by(one)
            if causes is None or not causes[1]:
                self._set_free(one)
            else:
                self._causes[one] = (causes[0], ())
                stack += self._add_causes(one, causes[1], seen)
            if start in self._free:
                return False
            if not stack:
                stack = self._other_speakers(seen)
        return start not in self._free

    # What holds something up

    def _held_by(self, one: Holder) -> tuple[bool, Collection[Holder]] | None:
        """What holds it up: None for nothing; else whether any of these is enough for that, and these."""
        if one.__class__ is tuple:
            promise, at = one
            if promise.done():
                self.is_passing = True
                return None
            if not self._ignores_timeouts and getattr(promise, "own_timeout", False):
                return None
            return promise._held_by(at)  # type: ignore[no-any-return]
        if not getattr(one, "is_node", False):
            return self._task_held_by(one, self._helpers.get(one, ()))
        if one.waits.__class__ is Held:
            return True, (one.waits.by,)
        return self._task_held_by(one.task, one.waits or ()) if one.task is not None else None

    def _task_held_by(self, task: Any, helpers: Collection[Any]) -> tuple[bool, Collection[Holder]] | None:
        if task.done():
            return None
        wait = self._waiting.get(task)
        if wait is not None:
            promise, at, waiter, _ = wait
            if not waiter.done():
                return True, ((promise, at),)
            self.is_passing = True
            return None
        together = waited_for_together(task, helpers)
        self.is_passing = self.is_passing or together is None
        for one in together or ():
            self._helpers[one] = helpers
        return (False, together) if together else None

    def _add_causes(self, one: Holder, more: Collection[Holder], seen: set[Holder]) -> list[Holder]:
        """Something is held up by these, too.

        Returns:
            Those that have not been looked at.
        """
        any_holds, causes = self._causes[one]
        self._causes[one] = any_holds, (*causes, *more)
        unseen = []
        for cause in more:
            self._users.setdefault(cause, []).append(one)
            if cause not in seen:
                seen.add(cause)
                unseen.append(cause)
        if one not in self._free and self._goes_on(one):
            self._set_free(one)
        return unseen

    def _other_speakers(self, seen: set[Holder]) -> list[Holder]:
        """The tasks beside the code of agents, which might send the reply that is awaited, where all else is stuck."""
        replies: dict[Any, list[Holder]] = {}
        for one in self._causes:
            if one.__class__ is tuple and one not in self._free and one[1] is not None:
                speaker = getattr(one[0], "_speaker", None)
                if speaker is not None and speaker not in self._speakers:
                    replies.setdefault(speaker, []).append(one)
        if not replies:
            return []
        self._speakers.update(replies)
        unseen = []
        known = {one.task for one in self._causes if getattr(one, "is_node", False)}
        for task, speaker in tasks_in_scope(replies):
            if task not in known:
                self._side_tasks.append(task)
                for one in replies[speaker]:
                    unseen += self._add_causes(one, (task,), seen)
        return unseen

    def _goes_on(self, one: Holder) -> bool:
        any_holds, causes = self._causes[one]
        free = self._free
        return all(c in free for c in causes) if any_holds else any(c in free for c in causes)

    def _set_free(self, one: Holder) -> None:
        self._free[one] = None
        freed = [one]
        for one in freed:
            for user in self._users.get(one, ()):
                if user not in self._free and self._goes_on(user):
                    self._free[user] = None
                    freed.append(user)

    # Why it is not stuck

    @property
    def side_task(self) -> Any:
        """The task beside the code of an agent that goes on, and could still send the reply that is awaited."""
        tasks = {one for one in self._side_tasks if one in self._free}
        going = [one for one in self._free if one in tasks] if tasks else []
        return next((one for one in going if one not in self._waiting), going[0] if going else None)

    def with_helpers(self) -> list[Any]:
        """The nodes that were reached and go on, and of which several tasks wait."""
        nodes = (one for one in self._causes if getattr(one, "is_node", False))
        return [one for one in nodes if one in self._free and one.waits.__class__ is dict and one.task is not None]

    def what_goes_on(self, task: Any, helpers: Collection[Any]) -> "asyncio.Future[Any] | None":
        """What has to end, or to wait for a promise, before the code of a handler can be stuck.

        Returns:
            One of its tasks that goes on, or what it waits for itself; None if its task is about to run.
        """
        leaves: dict[Any, None] = {}
        tasks = [task]
        for one in tasks:  # it grows meanwhile
            together = waited_for_together(one, helpers) if one not in self._waiting else ()
            if together is None:
                return None
            if together:
                tasks += reversed(together)
            elif one is task:
                return one._fut_waiter  # type: ignore[no-any-return]
            elif one not in self._waiting:
                return one  # type: ignore[no-any-return]
            else:
                leaves[one] = None
        # All of them wait for promises. The first that was found to go on does so by itself, others because of it.
        return next((one for one in self._free if one in leaves), next(iter(leaves)))  # type: ignore[no-any-return]

    # Why it is stuck

    def ring(self, start: Holder) -> list[Holder]:
        """The ring that something stuck waits in, in order."""
        way = [start]
        places = {start: 0}
        while True:
            following = self._towards(start, [c for c in self._causes[way[-1]][1] if c not in self._free])
            if following in places:
                return way[places[following] :]
            places[following] = len(way)
            way.append(following)

    def _towards(self, start: Holder, causes: list[Holder]) -> Holder:
        """Which of these is on the shortest way to `start`; any leads into a ring."""
        if len(causes) == 1 or start in causes:
            return start if start in causes else causes[0]
        via: dict[Holder, Holder] = {cause: cause for cause in causes}
        queue = deque(causes)
        while queue:
            one = queue.popleft()
            for cause in self._causes[one][1]:
                if cause == start:
                    return via[one]
                if cause not in self._free and cause not in via:
                    via[cause] = via[one]
                    queue.append(cause)
        return causes[0]

    def nodes(self, ring: list[Holder]) -> list[Any]:
        """The nodes of a ring, in order; a task stands for the one that it belongs to."""
        waits = self._waiting
        found = [one if getattr(one, "is_node", False) else waits[one][3] if one in waits else None for one in ring]
        return [one for one in found if one is not None]

    def waits(self, ring: list[Holder]) -> list[Wait]:
        """The waits in a ring, those of handlers first."""
        nodes = [one for one in ring if getattr(one, "is_node", False)]
        tasks = [one.task for one in nodes] + [one for one in ring if isinstance(one, asyncio.Future)]
        return [self._waiting[task] for task in tasks if task in self._waiting]
