"""`AgentTasks`: an agent that carries out tasks of the Agent2Agent protocol."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import Message as A2aMessage
from a2a.types import Part, Task, TaskState, TaskStatus
from google.protobuf.json_format import MessageToDict

from miniagents.agents.waiting.listening import current_wait_listener
from miniagents.errors import AnswerRefusedError
from miniagents.ext.a2a.parts import messages_of, part_of
from miniagents.ext.serving.a2a.task_run import TaskRun
from miniagents.ext.serving.front_ends.contents import special_of
from miniagents.ext.serving.http.problems import FAILURES, Problem
from miniagents.ext.serving.reply_pieces import Calls, Said, Text
from miniagents.ext.serving.runs import Run
from miniagents.ext.serving.served_agent import Entry
from miniagents.ext.serving.wants import check_wanted
from miniagents.journal.pending_wait import PendingWait
from miniagents.messages import Message

Begin: TypeAlias = Callable[[RequestContext, tuple[Message, ...], dict[str, Any]], Awaitable[Run]]
"""Calls the agent for a task, with messages and arguments."""

Tell: TypeAlias = Callable[[BaseException, Run | None], Problem]
"""Returns the problem of a failure for the caller, and logs what the caller does not see."""

Deliver: TypeAlias = Callable[[PendingWait, Message], Awaitable[object]]
"""Answers a wait."""

_CANCELLED = "the caller cancelled the task"
_WRONG_KIND = "wrong_kind"


class AgentTasks(AgentExecutor):
    """An agent that carries out tasks.

    A text of the agent is an artifact, which grows. When the agent, or one below it, waits for an answer from outside
    (`ctx.wait_for`), the task requires input, and the next message of the task is the answer.

    Args:
        entry: The agent.
        begin: Calls the agent.
        tell: Returns the problem of a failure.
        deliver: Answers a wait.
    """

    def __init__(self, entry: Entry, begin: Begin, tell: Tell, deliver: Deliver) -> None:
        self._entry = entry
        self._begin = begin
        self._tell = tell
        self._deliver = deliver
        self._tasks: dict[str, TaskRun] = {}

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Carry out a task, until it ends or requires input."""
        id, message = context.task_id or "", context.message
        assert message is not None  # a request to send a message has one
        updater = TaskUpdater(event_queue, id, context.context_id or "")
        task = self._tasks.get(id)
        if context.current_task is None:
            status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
            await event_queue.enqueue_event(
                Task(id=id, context_id=context.context_id, status=status, history=[message])
            )
        await updater.start_work()
        try:
            if task is None:
                task = await self._started(id, context)
            elif not await self._answered(task, message, updater):
                return
            await _Telling(task, updater).go_on()
        except FAILURES as error:
            problem = self._tell(error, task.run if task is not None else None)
            await updater.failed(_said(updater, problem.message))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Cancel a task, with all calls below it. The SDK has cancelled `execute`."""
        id = context.task_id or ""
        task = self._tasks.get(id)
        if task is not None and task.run is not None:
            task.run.cancel(_CANCELLED)
        await TaskUpdater(event_queue, id, context.context_id or "").cancel()

    async def _started(self, id: str, context: RequestContext) -> TaskRun:
        assert context.message is not None  # see `execute`
        messages = tuple(messages_of(context.message.parts, is_reply=False))
        specials = [special_of(message, "audio", "parts") for message in messages]
        check_wanted([special for special in specials if special is not None], self._entry.wants, self._entry.name)
        metadata = {**context.metadata, **MessageToDict(context.message.metadata)}
        values = {name: metadata[name] for name in self._entry.argument_names if name in metadata}
        task = TaskRun()
        listening = current_wait_listener.set(task.waits)
        try:
            run = await self._begin(context, messages, self._entry.call_arguments(values))
        finally:
            current_wait_listener.reset(listening)
        self._tasks[id] = task
        run.replies.add_done_callback(partial(self._forget, id))
        task.began(run)
        return task

    def _forget(self, id: str, _: object) -> None:
        self._tasks.pop(id, None)

    async def _answered(self, task: TaskRun, message: A2aMessage, updater: TaskUpdater) -> bool:
        """Give the agent the answer that it waits for, and return whether the task goes on."""
        wait, answers = task.asked, messages_of(message.parts, is_reply=False)
        if wait is None or not answers:
            return True
        try:
            await self._deliver(wait, answers[0])
        except AnswerRefusedError as refused:  # otherwise nothing waits for it any more, and the task goes on
            if refused.reason == _WRONG_KIND:
                await updater.requires_input(_said(updater, f"{refused}."))
                return False
        task.asked = None
        return True


class _Telling:
    """The events of one request of a task.

    Args:
        task: The call.
        updater: Publishes the events.
    """

    def __init__(self, task: TaskRun, updater: TaskUpdater) -> None:
        self._task = task
        self._updater = updater
        self._grown: set[int] = set()

    async def go_on(self) -> None:
        """Publish what the agent says, until it has ended or requires input.

        Raises:
            Exception: The failure of the agent.
        """
        task, updater = self._task, self._updater
        while True:
            match await task.next():
                case Text(index=index, text=text):
                    await self._grow(index, text)
                case Said(index=int(index)):
                    await self._grow(index, "", is_last=True)
                case Said(message=message):
                    part = part_of(message)
                    if part is not None:
                        await updater.add_artifact([part])
                case PendingWait() as wait:
                    task.asked = wait
                    await updater.requires_input(_said(updater, wait.prompt or wait.name))
                    return
                case Calls():
                    await updater.complete()
                    return
                case BaseException() as error:
                    raise error

    async def _grow(self, index: int, text: str, *, is_last: bool = False) -> None:
        parts = [Part(text=text)] if text else []
        assert self._task.run is not None  # it has said something
        id = f"{self._task.run.id}-{index}"
        await self._updater.add_artifact(parts, id, append=index in self._grown, last_chunk=is_last)
        self._grown.add(index)


def _said(updater: TaskUpdater, text: str) -> A2aMessage:
    return updater.new_agent_message([Part(text=text)])
