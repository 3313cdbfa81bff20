"""`Heart`: brings the heartbeats of the driver to the nodes, in a thread of its own where the platform has processes.

A handler of the driver that blocks the loop holds up no heartbeat then, so that no node loses its lease by it. What the
heart finds out is told in the loop of the driver.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from miniagents.cluster.authority import Authority, Member
from miniagents.cluster.heartbeat import Beat, BeatAnswer, answer_of, pack
from miniagents.cluster.transport import Launcher, NodeId
from miniagents.errors import DecodeError
from miniagents.log import log as _log


class Heart:
    """The heartbeats of one cluster.

    Who ends its waits: a heartbeat ends with the answer, or after a lease; `stop` ends all.

    Args:
        authority: Who is in.
        launcher: The platform.
        lease: Seconds after which a heartbeat that is not answered is given up.
        every: Seconds between two heartbeats.
        resources: Returns what each node offers, by its name.
        silent: Told of each node that has been silent for a lease, in the loop of the driver.
        answered: Told of each node that has answered, with the answer.
    """

    def __init__(
        self,
        authority: Authority,
        launcher: Launcher,
        *,
        lease: float,
        every: float,
        resources: Callable[[], dict[str, dict[str, float]]],
        silent: Callable[[NodeId], None],
        answered: Callable[[Member, BeatAnswer], None],
    ) -> None:
        self._authority = authority
        self._launcher = launcher
        self._lease = lease
        self._every = every
        self._resources = resources
        self._silent = silent
        self._answered = answered
        self._driver = asyncio.get_running_loop()
        self._loop = self._driver
        self._thread: threading.Thread | None = None
        self._beating: dict[NodeId, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self, *, in_thread: bool) -> None:
        """Begin.

        Args:
            in_thread: Whether in a thread of its own.
        """
        if in_thread:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, name="cluster-heart", daemon=True)
            self._thread.start()
        else:
            self._task = self._driver.create_task(self._beat_all())

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._beat_all())
        try:
            self._loop.run_until_complete(asyncio.wait([self._task]))
        finally:
            self._loop.close()

    async def stop(self) -> None:
        """End, and wait until nothing of it runs."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._loop.call_soon_threadsafe(self._cancel)
            await self._driver.run_in_executor(None, thread.join)
        else:
            self._cancel()
            tasks = [task for task in (self._task, *self._beating.values()) if task is not None]
            if tasks:
                await asyncio.wait(tasks)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        if self._loop is self._driver:
            callback(*arguments)
        else:
            self._driver.call_soon_threadsafe(callback, *arguments)

    async def _beat_all(self) -> None:
        try:
            while True:
                for node in self._authority.tick(self._driver.time()):
                    self._tell(self._silent, node)
                for member in self._authority.members:
                    if member.node not in self._beating:
                        task = asyncio.get_running_loop().create_task(self._beat(member))
                        if not task.done():  # an eager task may have run to its end
                            self._beating[member.node] = task
                await asyncio.sleep(self._every)
        finally:
            beating = tuple(self._beating.values())
            for task in beating:
                task.cancel()
            if beating:
                await asyncio.wait(beating)

    async def _beat(self, member: Member) -> None:
        node = member.node
        try:
            view = self._authority.view(self._driver.time())
            request = pack(Beat(self._authority.grant(node), view, self._resources()))
            async with asyncio.timeout(self._lease):
                answer = answer_of(await self._launcher.beat(node, request))
        except (ConnectionError, TimeoutError, DecodeError) as error:
            _log.debug("node.no_answer", node=node.name, error=repr(error))
            return
        finally:
            self._beating.pop(node, None)
        heard = self._authority.answered(node, answer.clock, answer.knows, self._driver.time())
        if heard is not None:
            self._tell(self._answered, heard, answer)
