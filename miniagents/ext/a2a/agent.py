"""`A2aAgent`: a remote agent, called by the Agent2Agent protocol as if it were here."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, cast

import httpx
from a2a.client import Client
from a2a.helpers.proto_helpers import get_message_text, new_message
from a2a.types import Part, Role, SendMessageRequest, StreamResponse, Task, TaskState, TaskStatus
from a2a.utils.errors import A2AError

from miniagents.agents import InteractionContext, Live, miniagent
from miniagents.errors import A2aError
from miniagents.ext.a2a.asking import InputRequired, OnInput, answer_of
from miniagents.ext.a2a.parts import part_of
from miniagents.ext.a2a.remote import Remote
from miniagents.ext.a2a.replies import RemoteReplies
from miniagents.messages import EMPTY, Secret

_ENDS = {
    TaskState.TASK_STATE_FAILED: "failed",
    TaskState.TASK_STATE_REJECTED: "rejected",
    TaskState.TASK_STATE_CANCELED: "canceled",
    TaskState.TASK_STATE_AUTH_REQUIRED: "auth-required",
}
"""The states in which a task gives no answer."""


@miniagent(description="A remote agent.")
async def A2aAgent(  # it is called as the agents of providers are
    ctx: InteractionContext,
    url: str,
    *,
    api_key: Secret | None = None,
    headers: Mapping[str, str] = EMPTY,
    context_id: str | None = None,
    task_id: str | None = None,
    arguments: Mapping[str, Any] = EMPTY,
    on_input: Live[OnInput | None] = None,
    idle_timeout: float | None = 600.0,
) -> None:
    """Send messages to a remote agent, and reply with what it says, as it arrives.

    If the call is cancelled, so is the task of the remote agent. If the remote agent requires input, `on_input` gives
    the answer. Without an answer the call ends with an `InputRequired`, and another call goes on with the task:
    `agent.inquire("blue", task_id=question.task_id, context_id=question.context_id)`.

    Args:
        ctx: The context.
        url: The address of the agent. Its card is below it, at `/.well-known/agent-card.json`.
        api_key: A token, sent as `Authorization: Bearer`; None for none.
        headers: More headers of all requests.
        context_id: The id of a conversation that goes on; None for a new one.
        task_id: The id of a task that requires input, which the messages are; None for a new task.
        arguments: Arguments for the remote agent, sent as the metadata of the message.
        on_input: An agent or a function that answers the questions of the remote agent; None for nobody.
        idle_timeout: Seconds without a byte of a response after which it has stalled, more than 0; None for no limit.

    Raises:
        A2aError: The remote agent has failed, refused the task, requires a sign-in, or cannot be reached.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.a2a import A2aAgent

        guide = A2aAgent.fork(alias="guide", url="https://agents.example.com/a2a/guide", api_key="a-token")

        async def main() -> None:
            print(await guide.inquire("Where is the station?"))
        ```
    """
    key = ("a2a", url, api_key, headers, idle_timeout)
    remote = ctx.system.shared(key, lambda: Remote(url, api_key, headers, idle_timeout), Remote.close)
    parts = [part for message in await ctx.message_promises if (part := part_of(message)) is not None]
    task = _Task(url, remote, await remote.client(), arguments, context_id, task_id)
    with RemoteReplies(ctx) as replies:
        while True:
            question = await task.send(parts, replies)
            if question is None:
                return
            answer = await answer_of(on_input, question)
            part = part_of(answer) if answer is not None else None
            if part is None:
                ctx.reply(question)
                return
            parts = [part]


class _Task:
    """A task of a remote agent.

    Args:
        url: The address of the agent.
        remote: The connection.
        client: The client.
        arguments: The metadata of messages.
        context_id: The id of the conversation, or None.
        task_id: The id of the task, or None.
    """

    def __init__(
        self,
        url: str,
        remote: Remote,
        client: Client,
        arguments: Mapping[str, Any],
        context_id: str | None,
        task_id: str | None,
    ) -> None:
        self._url = url
        self._remote = remote
        self._client = client
        self._arguments = dict(arguments)
        self._context_id = context_id
        self._id = task_id

    async def send(self, parts: list[Part], replies: RemoteReplies) -> InputRequired | None:
        """Send a message, and take what comes back.

        Returns:
            The question of the agent if it requires input, or else None.

        Raises:
            A2aError: See `A2aAgent`.
        """
        message = new_message(parts, context_id=self._context_id, task_id=self._id, role=Role.ROLE_USER)
        request = SendMessageRequest(message=message)
        if self._arguments:
            request.metadata.update(self._arguments)
        status: TaskStatus | None = None
        try:
            async with aclosing(cast(Any, self._client.send_message(request))) as events:
                async for event in events:
                    status = self._took(event, replies) or status
        except asyncio.CancelledError:
            if self._id is not None and not _is_over(status):
                self._remote.cancel(self._id)
            raise
        except (A2AError, httpx.HTTPError) as error:
            raise A2aError(f"the agent at {self._url} has not answered: {error}", url=self._url) from error
        return self._ended(status, replies)

    def _took(self, event: StreamResponse, replies: RemoteReplies) -> TaskStatus | None:
        """Take an event, and return the state of the task, if the event has it."""
        match event.WhichOneof("payload"):
            case "message":
                replies.say(event.message.parts)
            case "task":
                task: Task = event.task
                self._id, self._context_id = task.id, task.context_id
                replies.task(task)
                return task.status
            case "artifact_update":
                replies.update(event.artifact_update)
            case "status_update":
                self._id, self._context_id = event.status_update.task_id, event.status_update.context_id
                return event.status_update.status
        return None

    def _ended(self, status: TaskStatus | None, replies: RemoteReplies) -> InputRequired | None:
        if status is None:
            return None
        text = get_message_text(status.message)
        if status.state == TaskState.TASK_STATE_INPUT_REQUIRED:
            return InputRequired(
                question=text, url=self._url, task_id=self._id or "", context_id=self._context_id or ""
            )
        state = _ENDS.get(status.state)
        if state is not None:
            why = f": {text}" if text else ""
            raise A2aError(f"the task of the agent at {self._url} is {state}{why}", url=self._url, state=state)
        if status.state != TaskState.TASK_STATE_COMPLETED:
            raise A2aError(f"the agent at {self._url} has broken off its answer", url=self._url)
        replies.say(status.message.parts)
        return None


def _is_over(status: TaskStatus | None) -> bool:
    return status is not None and (status.state == TaskState.TASK_STATE_COMPLETED or status.state in _ENDS)
