"""Callers: on whose behalf code runs."""

import pytest

from miniagents import Caller, InteractionContext, MiniAgents, miniagent


@miniagent
async def inner(ctx: InteractionContext) -> None:
    ctx.reply(ctx.caller.name if ctx.caller is not None else "nobody")


@miniagent
async def outer(ctx: InteractionContext) -> None:
    ctx.reply(inner.inquire())


async def test_calls_of_a_block_and_those_below_are_made_for_its_caller_and_others_are_not() -> None:
    async with MiniAgents():
        with Caller("ann").acting():
            of_ann = outer.inquire()
            with Caller("bob").acting():
                of_bob = outer.inquire()
            again_of_ann = outer.inquire()
        of_nobody = outer.inquire()

        names = [str(await replies) for replies in (of_ann, of_bob, again_of_ann, of_nobody)]

    assert names == ["ann", "bob", "ann", "nobody"]


async def test_a_block_that_fails_leaves_no_caller_behind() -> None:
    async with MiniAgents():
        with pytest.raises(ZeroDivisionError), Caller("ann").acting():
            raise ZeroDivisionError

        assert str(await outer.inquire()) == "nobody"
