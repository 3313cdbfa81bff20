"""The search for a deadlock: whether something is held up for ever, and in which cycle.

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

from miniagents.actors.waiting.helper_tasks import awaited_future, tasks_in_scope, waited_for_together
from miniagents.promising import Promise
from miniagents.promising.waits import Combined, Wait, waits

Holder = Any
"""What can hold something up: a node, a task, or a promise with the piece that is missing (None for the whole)."""

Causes = tuple[bool, Collection[Holder]]
"""What holds something up: whether any one of these is enough for that, or all of them together are, and these."""


class Held:
    """What a node waits for outside of its own code: an agent's actor for the call, a supervisor for a child.

    Attributes:
        by: The `Holder`.
    """

    __slots__ = ("by",)

    def __init__(self, by: Holder) -> None:
        self.by = by


def wait_of(task: "asyncio.Future[Any]") -> "tuple[asyncio.Future[Any], Wait] | None":
    """The promise that a task waits for, and the future that wakes it; None if it waits for none."""
    waiter = awaited_future(task)
    wait = waits.get(waiter) if waiter is not None else None
    return None if waiter is None or wait is None else (waiter, wait)


class Search:
    """Whether something is stuck, and why.

    Args:
        me: The current task and what it is about to wait for, if that is to count.
        ignores_timeouts: Take what has a timeout of its own for stuck, too.
        limit: At how many things to look at most.
    """

    def __init__(
        self, me: tuple[Any, Wait] | None = None, *, ignores_timeouts: bool = False, limit: int | None = None
    ) -> None:
        self._me = me
        self._ignores_timeouts = ignores_timeouts
        self._limit = limit
        self._causes: dict[Holder, Causes] = {}
        self._users: dict[Holder, list[Holder]] = {}
        self._free: dict[Holder, None] = {}  # in the order in which that was found
        self._speakers: set[Any] = set()
        self._beside: dict[Holder, None] = {}
        self._together: list[Holder] = []
        self.is_passing = False  # something goes on that is about to do so, and may be stuck when the loop has turned
        self.was_cut = False  # there is more to look at than the limit

    def stuck(self, *starts: Holder) -> list[Holder]:
        """Return those of `starts` that are held up for ever."""
        only = starts[0] if len(starts) == 1 else None
        stack = list(starts)
        seen = set(stack)
        while stack:
            one = stack.pop()
            if self._limit is not None and len(self._causes) >= self._limit:
                self.was_cut = True
                return []
            causes = self._held_by(one)
            if causes is None or not causes[1]:
                self._set_free(one)
            else:
                self._causes[one] = (causes[0], ())
                stack += self._add_causes(one, causes[1], seen)
            if only is not None and only in self._free:
                return []
            if not stack:
                stack = self._other_speakers(seen)
        return [one for one in starts if one not in self._free]

    # What holds something up

    def _held_by(self, one: Holder) -> Causes | None:
        """Return what holds `one` up, or None for nothing."""
        if one.__class__ is tuple:
            promise, at = one
            if promise.done():
                self.is_passing = True
                return None
            if not self._ignores_timeouts and getattr(promise, "own_timeout", False):
                return None
            held: Causes | None = None if self._is_left_to_others(promise) else promise.held_by(at)
            if isinstance(promise, Combined) and held is not None and not held[0]:
                self._together.append(one)
            return held
        if not getattr(one, "is_node", False):
            return self._task_held_by(one, one)
        if one.waits is not None:
            return True, (one.waits.by,)
        if one.task is not None:
            return self._task_held_by(one, one.task)
        behind = one.node_behind(None)  # the agent, if a call waits for its turn
        return None if behind is None or behind is one else (True, (behind,))

    def _is_left_to_others(self, promise: Promise[Any]) -> bool:
        """Whether who opened a call waits for replies of that same call: somebody else is to say something then."""
        flat = getattr(promise, "flattener", None)
        if flat is None or flat.fed_by is None or not flat.is_open:
            return False
        task = flat.fed_by.task
        found = self._me if self._me is not None and task is self._me[0] else wait_of(task)
        is_reply_to = getattr(found[1][0], "is_reply_to", None) if found is not None else None
        return is_reply_to is not None and is_reply_to(promise)

    def _task_held_by(self, one: Holder, task: "asyncio.Task[Any]") -> Causes | None:
        if task.done():
            return None
        if self._me is not None and task is self._me[0]:
            return True, (self._me[1][:2],)
        found = wait_of(task)
        if found is not None:
            waiter, (promise, at, _) = found
            if not waiter.done():
                return True, ((promise, at),)
            self.is_passing = True
            return None
        together = waited_for_together(task)
        if together is None:
            self.is_passing = True
        elif together:
            self._together.append(one)
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
        """What runs beside the code of agents, and might send the reply that is awaited, where all else is stuck: the
        tasks that this code has started, and the calls that it has made."""
        replies: dict[Any, list[Holder]] = {}
        for one in self._causes:
            if one.__class__ is tuple and one not in self._free:
                speaker = self._speaker_of(*one)
                if speaker is not None and speaker not in self._speakers:
                    replies.setdefault(speaker, []).append(one)
        if not replies:
            return []
        self._speakers.update(replies)
        unseen = []
        known = {one.task for one in self._causes if getattr(one, "is_node", False)}
        beside = [(task, speaker) for task, speaker in tasks_in_scope(replies) if task not in known]
        beside += [(call, speaker) for speaker in replies for call in speaker.all_below() if not call.done()]
        for one, speaker in beside:
            self._beside[one] = None
            for reply in replies[speaker]:
                unseen += self._add_causes(reply, (one,), seen)
        return unseen

    @staticmethod
    def _speaker_of(promise: Promise[Any], at: int | None) -> Holder:
        find = getattr(promise, "speaker", None)
        return find(at) if find is not None else None

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
    def beside(self) -> Holder:
        """The task or call beside the code of an agent that goes on, and could still send the reply that is awaited;
        None if there is none."""
        return next((one for one in self._free if one in self._beside), None) if self._beside else None

    def witnesses(self) -> "list[tuple[Holder, Holder]]":
        """What goes on although some of its tasks wait, each with what has to end, or to wait, before it is stuck."""
        found = []
        for one in self._together:
            if one in self._free:
                witness = self._witness_of(one)
                if witness is None:
                    self.is_passing = True
                else:
                    found.append((one, witness))
        return found

    def _witness_of(self, one: Holder) -> Holder:
        if one.__class__ is not tuple:
            return self._witness(one.task if getattr(one, "is_node", False) else one)
        members = set(one[0].held_by(one[1])[1])
        # What was found to go on first does so by itself, others because of it.
        return next((holder for holder in self._free if holder in members or holder in self._beside), None)

    def _witness(self, task: "asyncio.Task[Any]") -> Holder:
        """One of those a task waits for together that goes on by itself; None if it is about to run."""
        leaves: dict[Any, None] = {}
        tasks = [task]
        for one in tasks:  # it grows meanwhile
            if wait_of(one) is not None or (self._me is not None and one is self._me[0]):
                leaves[one] = None
                continue
            together = waited_for_together(one)
            if together is None:
                return None
            if not together:
                return one
            tasks += reversed(together)
        # All of them wait for promises. What was found to go on first does so by itself, others because of it.
        return next((one for one in self._free if one in leaves or one in self._beside), None)

    # Why it is stuck

    def cycle(self, start: Holder) -> list[Holder]:
        """The cycle that something stuck waits in, in order."""
        way = [start]
        places = {start: 0}
        while True:
            following = self._following(way[-1], start)
            if following in places:
                return way[places[following] :]
            places[following] = len(way)
            way.append(following)

    def _following(self, one: Holder, start: Holder) -> Holder:
        causes = [cause for cause in self._causes[one][1] if cause not in self._free]
        # What might speak beside the code of an agent is no part of the cycle, where it can be told without.
        return self._towards(start, [cause for cause in causes if cause not in self._beside] or causes)

    def member_in_cycle(self, one: Holder, start: Holder) -> Holder:
        """Return the promise of several that a cycle goes through; the promise itself if it waits for no others.

        Args:
            one: The promise, with the piece that is waited for.
            start: Where the cycle was looked for.
        """
        while isinstance(one[0], Combined):
            following = self._following(one, start)
            if following.__class__ is not tuple:
                break
            one = following
        return one[0]

    def _towards(self, start: Holder, causes: list[Holder]) -> Holder:
        """Which of these is on the shortest way to `start`; any leads into a cycle."""
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

    def nodes(self, cycle: list[Holder]) -> list[Any]:
        """The nodes of a cycle, in order; a task stands for the one that it belongs to."""
        found = [one if getattr(one, "is_node", False) else self._node_of(one) for one in cycle]
        return [one for one in found if one is not None]

    def _node_of(self, one: Holder) -> Holder:
        if not isinstance(one, asyncio.Future):
            return None
        if self._me is not None and one is self._me[0]:
            return self._me[1][2]
        found = wait_of(one)
        return found[1][2] if found is not None else None

    def waits_in(self, cycle: list[Holder]) -> "list[tuple[asyncio.Future[Any], Wait]]":
        """The waits in a cycle, those of handlers first."""
        tasks = [one.task for one in cycle if getattr(one, "is_node", False) and one.task is not None]
        tasks += [one for one in cycle if isinstance(one, asyncio.Future)]
        return [found for task in tasks if (found := wait_of(task)) is not None]
