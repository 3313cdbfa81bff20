"""Calls of agents that live on another node: two systems in one loop, joined by a link in memory."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from miniagents import AgentRef, InteractionContext, MiniAgents, StopReason, TextMessage, miniagent
from miniagents.agents.remote_agent_cell import RemoteAgentCell
from miniagents.errors import ActorStoppedError, AgentArgumentError, AskTimeoutError, PromiseCancelledError
from miniagents.messages import Message, decode, encode
from tests.actors.actors import turns
from tests.actors.cells.test_remote_cell import LinkEnd, NodeLost

END = object()


class AgentLinkEnd(LinkEnd):
    """A link that hands on calls, message by message."""

    def __init__(self, system: MiniAgents) -> None:
        super().__init__(system)
        self._call_numbers = itertools.count(1)
        self.replies: dict[int, asyncio.Queue[Any]] = {}
        self.calls: dict[int, Any] = {}

    def agent(self, ref: AgentRef) -> AgentRef:
        """The reference here to an agent there."""
        cell = RemoteAgentCell(self.system, ref._cell.identity, self, ref.called_agent())  # type: ignore[arg-type]
        self._cells[cell.identity] = cell
        assert isinstance(cell.ref, AgentRef)
        return cell.ref

    def cut(self) -> None:
        super().cut()
        for replies in self.replies.values():
            replies.put_nowait(ActorStoppedError("the node is lost"))

    async def serve(self, cell: RemoteAgentCell, ctx: InteractionContext, arguments: Any) -> None:
        number = next(self._call_numbers)
        replies = self.replies[number] = asyncio.Queue[Any]()
        self._send("call", cell.identity, dict(arguments), number)
        sending = asyncio.create_task(self._send_input(ctx, number))
        try:
            while (reply := await replies.get()) is not END:
                if isinstance(reply, BaseException):
                    raise reply
                ctx.reply(reply)
        except asyncio.CancelledError:
            self._send("cancel_call", number)
            while not self.is_cut and await replies.get() is not END:
                pass
            raise
        finally:
            sending.cancel()
            del self.replies[number]

    async def _send_input(self, ctx: InteractionContext, number: int) -> None:
        async for promise in ctx.message_promises:
            self._send("input", number, encode(await promise))
        self._send("input", number, None)

    def _on_call(self, identity: Any, arguments: dict[str, Any], number: int) -> None:
        ref = self.system.lookup(identity.path)
        assert isinstance(ref, AgentRef)
        call = self.calls[number] = ref.initiate_call(**arguments)
        self.system.start_soon(self._send_replies(call, number))

    async def _send_replies(self, call: Any, number: int) -> None:
        replies = call.reply_sequence(finish_call=False)
        try:
            async for promise in replies:
                self._send("reply", number, encode(await promise))
        except Exception as error:
            self._send("failed", number, error)
        await replies.aclose()  # after a cancel it waits until the agent has cleaned up
        self._send("reply", number, None)

    def _on_input(self, number: int, data: bytes | None) -> None:
        call = self.calls[number]
        if data is None:
            call.finish()
        else:
            call.send_message(decode(data))

    def _on_reply(self, number: int, data: bytes | None) -> None:
        if number in self.replies:
            self.replies[number].put_nowait(END if data is None else decode(data))

    def _on_failed(self, number: int, error: BaseException) -> None:
        if number in self.replies:
            self.replies[number].put_nowait(error)

    def _on_cancel_call(self, number: int) -> None:
        self.calls[number].reply_sequence(finish_call=False).cancel("cancelled there")


@miniagent
async def parrot(ctx: InteractionContext, times: int = 1) -> None:
    async for promise in ctx.message_promises:
        for _ in range(times):
            ctx.reply(await promise)


@miniagent
async def fails(ctx: InteractionContext) -> None:
    ctx.reply("begins")
    raise ValueError("the agent fails")


LOG: list[Any] = []


@miniagent
async def sleeps(ctx: InteractionContext) -> None:
    LOG.append("begins")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(0.5)  # its clean-up
        LOG.append("cleaned up")
        raise


@asynccontextmanager
async def two_nodes() -> AsyncIterator[tuple[MiniAgents, MiniAgents, AgentLinkEnd]]:
    LOG.clear()
    async with MiniAgents(name="far") as there, MiniAgents(name="near") as here:
        link, back = AgentLinkEnd(here), AgentLinkEnd(there)
        link.other, back.other = back, link
        yield here, there, link
        await turns()
        assert not link.replies


async def test_a_call_is_answered_by_the_agent_there() -> None:
    async with two_nodes() as (_, there, link):
        far = link.agent(there.spawn(parrot))
        assert str(await far.inquire(["one", "two"], times=2)) == "one\n\none\n\ntwo\n\ntwo"
        assert await far.ask(TextMessage("asked")) == TextMessage("asked")


async def test_an_agent_there_replies_while_messages_come() -> None:
    async with two_nodes() as (_, there, link):
        call = link.agent(there.spawn(parrot)).initiate_call()
        replies = aiter(call.reply_sequence(finish_call=False))
        for content in ("one", "two"):
            call.send_message(content)
            assert await (await anext(replies)) == TextMessage(content)
        call.finish()


async def test_a_call_fails_with_what_the_agent_there_fails_with() -> None:
    async with two_nodes() as (_, there, link):
        replies = link.agent(there.spawn(fails)).inquire()
        seen = list[Message]()
        with pytest.raises(ValueError, match="the agent fails"):
            async for promise in replies:
                seen.append(await promise)
        assert [str(message) for message in seen] == ["begins"]


async def test_arguments_that_the_agent_does_not_take_are_refused_here() -> None:
    async with two_nodes() as (_, there, link):
        with pytest.raises(AgentArgumentError):
            link.agent(there.spawn(parrot)).inquire("one", often=True)


async def test_a_cancel_reaches_the_call_there_and_waits_until_it_has_ended() -> None:
    async with two_nodes() as (here, there, link):
        replies = link.agent(there.spawn(sleeps)).inquire()
        await turns()
        assert LOG == ["begins"]
        await replies.aclose("not wanted")
        assert LOG == ["begins", "cleaned up"]
        assert not here.interactions()
        with pytest.raises(PromiseCancelledError):
            await replies


async def test_a_deadline_ends_the_call_here_and_there() -> None:
    async with two_nodes() as (_, there, link):
        with pytest.raises(AskTimeoutError):
            await link.agent(there.spawn(sleeps)).inquire(timeout=1.0)
        await asyncio.sleep(1.0)
        assert LOG == ["begins", "cleaned up"]


async def test_a_lost_node_fails_the_calls_of_its_agents_and_those_that_come() -> None:
    async with two_nodes() as (_, there, link):
        local = there.spawn(sleeps)
        far = link.agent(local)
        replies = far.inquire()
        far.check_ready()
        await turns()

        link.cut()

        with pytest.raises(ActorStoppedError):
            await replies
        with pytest.raises(ActorStoppedError) as caught:
            await far.inquire()
        assert isinstance(caught.value.__cause__, NodeLost)
        with pytest.raises(ActorStoppedError, match="has ended"):
            far.check_ready()
        await local.kill()


async def test_an_agent_there_is_stopped_and_watched_as_any_actor() -> None:
    async with two_nodes() as (_, there, link):
        far = link.agent(there.spawn(parrot))
        assert await far.stop() is StopReason.SHUTDOWN
        with pytest.raises(ActorStoppedError):
            await far.ask(TextMessage("late"))
