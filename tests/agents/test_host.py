"""The classes of calls, replies and contexts, which a system may bring itself."""

from typing import Any

import pytest

from miniagents import Interaction, InteractionContext, MiniAgents, TextMessage, miniagent
from miniagents.agents.reply_promise import ReplyPromise

log: list[str] = []


class NotedCall(Interaction):
    __slots__ = ()

    def finish(self, error: BaseException | None) -> None:
        if not self.done():
            log.append(f"end of {self.path}")
        super().finish(error)


class NotedReplies(ReplyPromise[NotedCall]):
    __slots__ = ()

    def push_piece(self, piece: Any) -> None:
        log.append(f"reply {piece.result()}")
        super().push_piece(piece)


class NotedContext(InteractionContext):
    __slots__ = ()

    def note(self, text: str) -> None:
        log.append(text)


class NotingSystem(MiniAgents):
    interaction_class = NotedCall
    reply_promise_class = NotedReplies
    context_class = NotedContext


@miniagent
async def function(ctx: NotedContext) -> None:
    assert InteractionContext.get_current() is ctx
    ctx.note("code")
    ctx.reply("done")


@miniagent(alias="object")
class OfClass:
    async def __call__(self, ctx: NotedContext) -> None:
        ctx.note("code")
        ctx.reply("done")


@pytest.mark.parametrize("agent", [function, OfClass], ids=["function", "class"])
async def test_a_system_chooses_the_classes_that_a_call_is_made_of(agent: Any) -> None:
    log.clear()
    async with NotingSystem() as system:
        ref = system.spawn(agent, name="one")

        replies = ref.inquire()

        assert isinstance(replies, NotedReplies)
        assert [type(call) for call in system.interactions()] == [NotedCall]
        assert str(await replies) == "done"
    assert log == ["code", "reply done", "end of /one"]


@pytest.mark.parametrize("agent", [function, OfClass], ids=["function", "class"])
async def test_a_plain_ask_of_an_agent_is_a_call_of_the_chosen_class(agent: Any) -> None:
    log.clear()
    async with NotingSystem() as system:
        ref = system.spawn(agent, name="one")

        assert str(await ref.ask(TextMessage("x"))) == "done"
    assert log == ["code", "reply done", "end of /one"]


async def test_a_call_that_is_opened_is_of_the_chosen_class_and_so_is_one_below_it() -> None:
    kinds: list[type] = []

    @miniagent
    async def outer(ctx: InteractionContext) -> None:
        call = function.initiate_call()
        kinds.append(type(call.interaction))
        kinds.extend(type(below) for below in ctx.interaction.below)
        ctx.reply(call.reply_sequence())

    async with NotingSystem():
        await outer.inquire()

    assert kinds == [NotedCall, NotedCall]
