"""`RemoteCall`: a call of an agent of another node, on the node that makes it."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from miniagents.cluster import items
from miniagents.cluster.channel import Channel
from miniagents.cluster.frames import check_size, pack
from miniagents.cluster.tokens import RemoteMessagePromise, token_from_wire
from miniagents.errors import ActorStoppedError, PromiseCancelledError
from miniagents.messages import encode
from miniagents.promising.flow import current_flow

if TYPE_CHECKING:
    from miniagents.agents.interaction_context import InteractionContext

WINDOW = 256
"""The pieces of replies that may be under way for one call. The caller grants as many again as it has taken."""


class RemoteCall:
    """One call of an agent of another node.

    Its input is sent message by message, as these resolve. Its replies come piece by piece. The other node sends no
    more pieces than it has credit for, so a reader that is slow holds up nothing but its own call.

    Who ends the wait of `run`: the end of the call there, or `lost`.

    Args:
        channel: The way to the other node.
        path: The path of the agent.
        number: The number of the call.
        ctx: The context of the interaction that stands here for the call.
    """

    def __init__(self, channel: Channel, path: str, number: int, ctx: "InteractionContext") -> None:
        self._channel = channel
        self._path = path
        self._number = number
        self._ctx = ctx
        self._arrived: deque[list[Any]] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._streams: dict[int, RemoteMessagePromise] = {}
        self._lost: BaseException | None = None
        self._has_ended = False

    async def run(self, uid: int, arguments: Any) -> None:
        """Make the call, and reply what is replied there.

        Raises:
            Exception: What the call there has failed with.
            ActorStoppedError: The node is lost.
        """
        interaction = self._ctx.interaction
        left = interaction.deadline - interaction.system.time() if interaction.deadline is not None else None
        sender = items.value_to_wire(interaction.sender, "sender") if interaction.sender is not None else None
        trace = interaction.trace if isinstance(interaction.trace, str) else None
        row = getattr(interaction, "row_elsewhere", None)  # of a system with a journal
        wire = items.value_to_wire(arguments, f"{self._path}: argument")
        data = pack([items.CALL, self._number, self._path, uid, wire, sender, left, trace, interaction.label, row])
        check_size(data, self._path)
        queued = self._channel.send(data)
        sending = asyncio.create_task(self._send_input())
        try:
            await self._take_all()
        except BaseException:  # a cancel, or something that cannot be read
            if not self._has_ended and self._lost is None and not self._channel.withdraw(queued):
                self._channel.send(pack([items.CANCEL, self._number]), control=True)
                await self._until_ended()
            raise
        finally:
            sending.cancel()
            for stream in self._streams.values():
                stream.end_stream(self._cut_off())

    def _cut_off(self) -> BaseException:
        """Return what a message ends with whose tokens have not all come."""
        if self._lost is not None:
            return self._lost
        cancelled = self._ctx.interaction.cancelled
        if cancelled is not None:
            return PromiseCancelledError(f"{self._path}: the call was cancelled before the message was complete")
        return ActorStoppedError(f"{self._path}: the call ended before the message was complete", path=self._path)

    async def _send_input(self) -> None:
        messages = aiter(self._ctx.message_promises)
        while True:
            try:
                promise = await anext(messages)
                data = pack([items.INPUT, self._number, msgspec.Raw(encode(await promise))])
                check_size(data, self._path)
            except StopAsyncIteration:
                break
            except Exception as error:
                data = pack([items.INPUT_FAILED, self._number, items.error_to_wire(error)])
            await self._channel.room()
            self._channel.send(data)
        self._channel.send(pack([items.INPUT_END, self._number]))

    # What comes

    def received(self, parts: list[Any]) -> None:
        """Take an item of the call."""
        self._arrived.append(parts)
        self._go_on()

    def lost(self, error: BaseException) -> None:
        """End the call, since the node is lost."""
        stopped = ActorStoppedError(f"{self._path}: stopped ({error!r}) before it answered", path=self._path)
        stopped.__cause__ = error
        self._lost = stopped
        self._go_on()

    def _go_on(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _next(self) -> list[Any] | None:
        """Return the next item; None if the node is lost."""
        while not self._arrived:
            if self._lost is not None:
                return None
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None
        return self._arrived.popleft()

    async def _take_all(self) -> None:
        taken = 0
        while (parts := await self._next()) is not None:
            if parts[0] == items.CALL_ENDED:
                self._end(parts)
                return
            self._take(parts)
            taken += 1
            if taken >= WINDOW // 2:
                await self._until_read()
                self._channel.send(pack([items.CREDIT, self._number, taken]), control=True)
                taken = 0
        if self._lost is not None:
            raise self._lost

    async def _until_read(self) -> None:
        """Wait while the client of a service is behind with reading."""
        flow = current_flow.get()
        if flow is not None and flow.is_full:
            await flow.room(self._ctx.interaction.replies)

    async def _until_ended(self) -> None:
        while (parts := await self._next()) is not None:
            if parts[0] == items.CALL_ENDED:
                self._count(parts)
                return

    def _take(self, parts: list[Any]) -> None:
        kind = parts[0]
        if kind == items.REPLY:
            self._ctx.reply(items.value_from_wire(parts[2]))
        elif kind == items.REPLY_BEGINS:
            _, _, number, tag, known = parts
            stream = self._streams[number] = RemoteMessagePromise(tag, items.value_from_wire(known))
            self._ctx.reply(stream)
        elif kind == items.TOKEN:
            self._streams[parts[2]].push_piece(token_from_wire(parts[3]))
        elif kind == items.REPLY_ENDS:
            self._streams.pop(parts[2]).end_with(items.value_from_wire(parts[3]))
        elif parts[2]:  # REPLY_FAILED, of a message that streams
            self._streams.pop(parts[2]).end_stream(items.error_from_wire(parts[3]))
        else:
            self._ctx.reply(items.error_from_wire(parts[3]))

    def _count(self, parts: list[Any]) -> None:
        self._has_ended = True
        interaction = self._ctx.interaction
        interaction.spend(parts[3], parts[4])

    def _end(self, parts: list[Any]) -> None:
        self._count(parts)
        if parts[2] is not None:
            callers = [agent.alias for agent in self._ctx.interaction.agent_trace[1:]]
            raise items.error_from_wire(parts[2], callers)
