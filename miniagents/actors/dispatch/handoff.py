"""Direct hand-over: a task that waits for an answer runs the turns that lead to it, here and now.

The actors cannot tell: their code sees the task of a worker as the current one, and where it suspends that worker goes
on with it. The asker is spared two turns of the loop, and a future (benchmark `ask`: three times as many).
"""

import asyncio
import sys
from contextvars import Context
from sys import getrefcount
from threading import get_ident
from typing import TYPE_CHECKING, Any
from weakref import getweakrefcount

from miniagents.actors.dispatch.workers import MIGRATE, TURN_OVER, Trampoline, WorkerTask
from miniagents.promising.cpython import current_tasks

if TYPE_CHECKING:
    from miniagents.actors.dispatch.dispatcher import Dispatcher

HELP_SECONDS = 0.001
"""The seconds for which waiting tasks help before the loop must turn."""

_TURNS_PER_LOOK = 4
_MOST = 4
"""Helpers at most, and so how deep one that waits may be run by another one that waits."""


class Handoff:
    """The workers of a dispatcher that are stepped by tasks that wait.

    Args:
        dispatcher: Whose ready queue it is.
        loop: The event loop of the system.
    """

    __slots__ = ("_all", "_closed", "_dispatcher", "_held", "_idle", "_loop", "_thread", "_until")

    def __init__(self, dispatcher: "Dispatcher", loop: asyncio.AbstractEventLoop) -> None:
        self._dispatcher = dispatcher
        self._loop = loop
        self._thread = get_ident()
        self._all: dict[WorkerTask, None] = {}
        self._idle: list[WorkerTask] = []
        self._until: float | None = None
        self._closed = False
        self._held = sys.maxsize

    def run_ready(self) -> bool:
        """Run turns of who is ready, for a task that is about to wait for an answer.

        Returns:
            Whether any was run.
        """
        dispatcher = self._dispatcher
        ready = dispatcher.ready
        if not ready or self._thread != get_ident():
            return False
        if not self._idle:
            self._start()
            return False
        loop = self._loop
        now = dispatcher.clock()
        until = self._until
        if until is None:
            until = self._until = now + HELP_SECONDS
            loop.call_soon(self._loop_turned)
        elif now > until:
            return False
        asker = current_tasks.get(loop)
        if asker is None:
            return False
        helper: Any = self._idle.pop()
        if not helper.held:
            self._held = min(self._held, getrefcount(helper))
            # In a turn asyncio has one more, as the current task; the others are as in `serve`.
            helper.held = self._held + helper.registered + 3
        if getrefcount(helper) > helper.held - helper.registered - 3:
            # Somebody keeps it, or has cancelled it: it ends, before that reaches a handler.
            if not helper.handed.done():
                helper.handed.set_result(None)
            return False
        dispatcher.helped = True
        lane = helper.lane
        dispatcher.turn_until = now + HELP_SECONDS
        waiting: object = TURN_OVER
        spent = False
        looks = _TURNS_PER_LOOK
        current_tasks[loop] = helper
        try:
            while ready:
                cell = lane.cell = helper.cell = ready.popleft()
                cell.task = helper
                waiting = (cell.context or cell.turn_context()).run(lane.send, None)
                if waiting is not TURN_OVER:
                    break
                if getrefcount(helper) + getweakrefcount(helper) > helper.held - 2 and (
                    getrefcount(helper) > helper.held - helper.registered - 2 or helper.is_watched()
                ):
                    spent = True
                    break
                looks = 0 if cell.scheduled else looks - 1
                if looks <= 0:
                    looks = _TURNS_PER_LOOK
                    if dispatcher.clock() > until:
                        break
        finally:
            current_tasks[loop] = asker
        if waiting is TURN_OVER:
            lane.cell = helper.cell = None
            if not spent:
                self._idle.append(helper)
                return True
            helper.lane = None
        elif waiting is MIGRATE:
            helper.lane = None
            dispatcher.go_on(lane)
        elif not lane.cell.since:
            lane.cell.since = loop.time()
        self._all.pop(helper, None)
        helper.waiting = waiting
        if not helper.handed.done():  # it is, if the handler has cancelled its own task
            helper.handed.set_result(None)
        return True

    def close(self) -> None:
        """No more help."""
        self._closed = True
        self._idle.clear()
        for helper in self._all:
            if helper.handed is not None and not helper.handed.done():
                helper.handed.set_result(None)
        self._all.clear()

    def _start(self) -> None:
        if self._closed or len(self._all) >= _MOST or self._dispatcher.debug:
            return
        helper = WorkerTask(self._help(), loop=self._loop, context=Context())
        self._all[helper] = None
        helper.add_done_callback(lambda task: self._all.pop(task, None), context=Context())  # also one that never ran
        self._dispatcher.own(helper)

    async def _help(self) -> None:
        """Wait until there is a turn to go on with."""
        me = asyncio.current_task()
        assert isinstance(me, WorkerTask)  # this is the main coroutine of one
        if self._closed:
            return
        me.handed = self._loop.create_future()
        me.lane = Trampoline()
        self._idle.append(me)
        error = None
        try:
            await me.handed
        except asyncio.CancelledError as cancelled:
            # Of the handler that it is to go on with, or a stray one. As in any task, it is for what the handler waits
            # for first, a `gather` or another task, and comes from there.
            if not asyncio.isfuture(me.waiting) or not me.waiting.cancel(*cancelled.args):
                if asyncio.isfuture(me.waiting):
                    # It may be a `gather` that has not heard yet that all of it is there, and so is not done.
                    me.waiting.add_done_callback(_ignore_failure)
                me.waiting, error = TURN_OVER, cancelled
        waiting, me.waiting = me.waiting, None
        self._all.pop(me, None)
        if me in self._idle:
            self._idle.remove(me)
        lane, me.lane = me.lane, None  # it is not to be gone on with again, should this task end as cancelled
        if lane is not None and lane.cell is not None:
            try:
                await self._dispatcher.serve(me, lane, waiting, error)
            except asyncio.CancelledError:
                self._dispatcher.replace_worker()

    def _loop_turned(self) -> None:
        self._until = None


def _ignore_failure(future: "asyncio.Future[Any]") -> None:
    """Mark a failure as seen: nobody waits for the future any more, so no log tells of it."""
    if not future.cancelled():
        future.exception()
