"""Remote agents that nobody here wrote: servers of the protocol's own SDK."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, Task, TaskState, TaskStatus
from starlette.applications import Starlette

from tests.ext.serving.servers import served

Work: TypeAlias = Callable[[RequestContext, TaskUpdater], Awaitable[None]]


class Executor(AgentExecutor):
    """Does some work for each message, and notes cancels.

    Attributes:
        requests: What came.
        cancelled: Set once a task was cancelled.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self.requests: list[RequestContext] = []
        self.cancelled = asyncio.Event()

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        self.requests.append(context)
        if context.current_task is None:
            status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
            task = Task(id=context.task_id, context_id=context.context_id, status=status)
            await event_queue.enqueue_event(task)
        await self._work(context, TaskUpdater(event_queue, context.task_id or "", context.context_id or ""))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        self.cancelled.set()
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()


@asynccontextmanager
async def remote(work: Work, *, streaming: bool = True) -> AsyncIterator[tuple[str, Executor]]:
    """The address of a remote agent, and what carries out its tasks."""
    executor = Executor(work)
    card = AgentCard(
        name="remote",
        description="Works.",
        version="1",
        capabilities=AgentCapabilities(streaming=streaming),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        supported_interfaces=[AgentInterface(url="", protocol_binding="JSONRPC", protocol_version="1.0")],
    )
    handler = DefaultRequestHandler(executor, InMemoryTaskStore(), card)
    app = Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, "/")])
    async with served(app) as url:
        card.supported_interfaces[0].url = url
        yield url, executor
        await handler.aclose()
