"""`RecentTasks`: the tasks of each caller, in memory, with a bound."""

from collections import OrderedDict

from a2a.server.context import ServerCallContext
from a2a.server.tasks import InMemoryTaskStore
from a2a.types import Task


class RecentTasks(InMemoryTaskStore):
    """The tasks of each caller. The oldest of a caller are forgotten.

    Args:
        most: The most tasks of one caller, 1 or more.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._recent: dict[str, OrderedDict[str, None]] = {}

    async def save(self, task: Task, context: ServerCallContext) -> None:
        """Save a task, and forget the oldest ones of its caller."""
        await super().save(task, context)
        recent = self._recent.setdefault(context.user.user_name, OrderedDict())
        recent[task.id] = None
        recent.move_to_end(task.id)
        while len(recent) > self._most:
            oldest, _ = recent.popitem(last=False)
            await super().delete(oldest, context)
