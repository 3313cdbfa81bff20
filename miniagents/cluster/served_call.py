"""`ServedCall`: a call of an agent of this node that another node has made."""

import asyncio
from contextvars import Context
from typing import Any

import msgspec

from miniagents.agents.call import NO_MESSAGES, AgentCall
from miniagents.cluster import items
from miniagents.cluster.channel import Channel
from miniagents.cluster.frames import check_size, pack
from miniagents.cluster.remote_call import WINDOW
from miniagents.cluster.tokens import token_to_wire
from miniagents.messages import Message, MessagePromise, encode


class ServedCall:
    """One call of an agent of this node, made by another node.

    Its replies are sent as they come, those that stream token by token, several at once. It sends no more pieces than
    it has credit for.

    Who ends its waits: the agent, whose replies it reads; the caller, who grants credit or cancels; `cancel`, also
    when the node of the caller is lost.

    Args:
        channel: The way to the caller.
        number: The number of the call there.
        cell: The cell of the agent.
        arguments: The arguments, checked and frozen.
        options: What the interaction takes over from its caller: `sender`, `deadline`, `trace`, `label`.
        row: What `DurableInteraction.run_for` takes, if the call is recorded by the caller; None otherwise.
    """

    def __init__(
        self, channel: Channel, number: int, cell: Any, arguments: Any, options: dict[str, Any], row: Any
    ) -> None:
        self._channel = channel
        self._number = number
        self._path = cell.path
        self._credit = WINDOW
        self._granted: asyncio.Event = asyncio.Event()
        self._replies_so_far = 0
        system = cell.system
        self._interaction = system.interaction_class(
            system=system,
            cell=cell,
            agent=cell.agent,
            arguments=arguments,
            message_promises=NO_MESSAGES,
            context=Context(),
            **options,
        )
        if row is not None and system.durability is not None:
            self._interaction.run_for(*row)
        self._call = AgentCall(self._interaction, True)

    @property
    def replies(self) -> Any:
        """The promise of the replies."""
        return self._interaction.replies

    # The input

    def input(self, message: Message) -> None:
        """Take a message of the input."""
        if not self._call.is_finished:
            self._call.send_message(message)

    def input_failed(self, error: BaseException) -> None:
        """Take an exception in the place of a message."""
        if not self._call.is_finished:
            self._call.send_message(error)

    def input_ends(self) -> None:
        """No message follows."""
        self._call.finish()

    def grant(self, pieces: int) -> None:
        """The caller has taken so many pieces."""
        self._credit += pieces
        self._granted.set()

    def cancel(self, reason: object) -> None:
        """Cancel the call. `run` ends when it has ended."""
        self._interaction.begin_cancel(reason)
        self._granted.set()

    # The replies

    async def run(self) -> None:
        """Send the replies, and the end of the call, to the caller."""
        streams: list[asyncio.Task[None]] = []
        replies = self._call.reply_sequence(finish_call=False)
        pieces = aiter(replies)
        while True:
            try:
                promise = await anext(pieces)
            except StopAsyncIteration:
                break
            except Exception as error:
                if error is not self._interaction.error:
                    await self._send([items.REPLY_FAILED, self._number, 0, items.error_to_wire(error)])
                continue
            self._replies_so_far += 1
            if promise.done():
                await self._send_message(promise, [items.REPLY, self._number], 0)
            else:
                known = items.value_to_wire(promise.known_beforehand, "known beforehand")
                begins = [items.REPLY_BEGINS, self._number, self._replies_so_far]
                await self._send([*begins, promise.message_class.__wire_tag__, known])
                streams.append(asyncio.create_task(self._stream(promise, self._replies_so_far)))
        for stream in streams:
            await stream
        await replies.aclose()  # after a cancel it waits until the agent has cleaned up
        interaction = self._interaction
        failure = items.error_to_wire(interaction.error) if interaction.error is not None else None
        self._channel.send(pack([items.CALL_ENDED, self._number, failure, interaction.tokens, interaction.cost]))

    async def _stream(self, promise: MessagePromise, number: int) -> None:
        try:
            async for token in promise:
                await self._send([items.TOKEN, self._number, number, token_to_wire(token)])
        except Exception:  # the message fails with it, too
            pass
        await self._send_message(promise, [items.REPLY_ENDS, self._number, number], number)

    async def _send_message(self, promise: MessagePromise, head: list[Any], number: int) -> None:
        try:
            data = pack([*head, msgspec.Raw(encode(await promise))])
            check_size(data, self._path)
        except Exception as error:
            data = pack([items.REPLY_FAILED, self._number, number, items.error_to_wire(error)])
        await self._take_credit()
        self._channel.send(data)

    async def _send(self, parts: list[Any]) -> None:
        await self._take_credit()
        self._channel.send(pack(parts))

    async def _take_credit(self) -> None:
        while self._credit <= 0 and not self._channel.is_closed and self._interaction.cancelled is None:
            self._granted.clear()
            await self._granted.wait()
        self._credit -= 1
