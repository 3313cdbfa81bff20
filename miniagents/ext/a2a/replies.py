"""`RemoteReplies`: what a remote agent says in a task, as replies of an agent here, as it arrives."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from a2a.types import Artifact, Part, Task, TaskArtifactUpdateEvent

from miniagents.agents import InteractionContext
from miniagents.ext.a2a.parts import messages_of
from miniagents.messages import AssistantMessage, MessageTokenAppender


class RemoteReplies:
    """The replies of a remote agent. The text of an artifact is one message, which streams; each other part is another.

    Leave the `with` block, and all messages are complete.

    Args:
        ctx: The context of the call here.
    """

    def __init__(self, ctx: InteractionContext) -> None:
        self._ctx = ctx
        self._growing: dict[str, MessageTokenAppender] = {}
        self._seen: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for id in tuple(self._growing):
            self._close(id)

    def update(self, event: TaskArtifactUpdateEvent) -> None:
        """Add a piece of an artifact."""
        artifact = event.artifact
        if not event.append:
            self._close(artifact.artifact_id)
        self._add(artifact)
        if event.last_chunk:
            self._close(artifact.artifact_id)

    def task(self, task: Task) -> None:
        """Add the artifacts of a whole task that have not come yet."""
        for artifact in task.artifacts:
            if artifact.artifact_id not in self._seen:
                self._add(artifact)
                self._close(artifact.artifact_id)

    def say(self, parts: Iterable[Part]) -> None:
        """Add a whole message."""
        for message in messages_of(parts, is_reply=True):
            self._ctx.reply(message)

    def _add(self, artifact: Artifact) -> None:
        self._seen.add(artifact.artifact_id)
        for part in artifact.parts:
            if part.WhichOneof("content") == "text":
                self._grow(artifact.artifact_id, part.text)
            else:
                self._close(artifact.artifact_id)
                self.say([part])

    def _grow(self, id: str, text: str) -> None:
        appender = self._growing.get(id)
        if appender is None:
            appender = self._growing[id] = MessageTokenAppender()
            appender.open()
            self._ctx.reply(AssistantMessage.promise(message_token_streamer=appender))
        appender.append(text)

    def _close(self, id: str) -> None:
        appender = self._growing.pop(id, None)
        if appender is not None:
            appender.close()
