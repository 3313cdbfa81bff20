"""`system.diagnose`: the evidence for what makes a system slow."""

import asyncio
import re
from typing import Any

import pytest

from miniagents import Actor, ActorSystem, InteractionContext, MiniAgents, TextMessage, miniagent
from miniagents.ext.llms import Budget, RateLimit, Usage
from miniagents.testing import Script, ScriptedModel
from tests.control.system.conftest import Asked

pytestmark = pytest.mark.real_time


class Stuck(Actor):
    """Handles each message until all are let go."""

    def __init__(self, began: asyncio.Event, release: asyncio.Event) -> None:
        self.began = began
        self.release = release

    async def receive(self, message: Any, ctx: Any) -> None:
        self.began.set()
        await self.release.wait()


async def test_a_full_mailbox_is_named_with_what_waits_in_it(asked: Asked) -> None:
    began, release = asyncio.Event(), asyncio.Event()
    async with ActorSystem(control=True) as system:
        ref = system.spawn(Stuck, name="stuck", began=began, release=release)
        for _ in range(4):
            ref.tell(TextMessage("x"))
        await began.wait()
        result = await asked(system, "system.diagnose")
        (box,) = result["mailboxes"]
        (busy,) = result["busy"]
        release.set()

    assert (box["path"], box["depth"], box["types"]) == ("/stuck", 3, {"TextMessage": 3})
    assert (busy["path"], busy["seconds"] > 0) == ("/stuck", True)


async def test_the_oldest_calls_say_where_they_wait(asked: Asked) -> None:
    started = asyncio.Event()

    @miniagent
    async def waiter(ctx: InteractionContext) -> None:
        started.set()
        await asyncio.Event().wait()

    async with MiniAgents(control=True) as system:
        waiter.trigger("go", errors_as_messages=True)
        await started.wait()
        (call,) = (await asked(system, "system.diagnose"))["oldest_calls"]
        for interaction in system.interactions():
            await interaction.cancel()

    assert call["agent"] == "/agents/waiter"
    assert re.fullmatch(rf"{re.escape(__file__)}:\d+ in .*waiter", call["where"])


async def test_limits_are_named_once_they_are_at_their_edge(asked: Asked) -> None:
    limit = RateLimit(concurrent=1)
    async with MiniAgents(control=True) as system:
        await ScriptedModel.fork(script=Script("Hello!"), rate_limit=limit).inquire("Hi")
        assert (await asked(system, "system.diagnose"))["limits"] == []
        admission = await limit.admit("/somebody", 1)
        (edge,) = (await asked(system, "system.diagnose"))["limits"]
        admission.settle(1)

    assert (edge["in_flight"], edge["concurrent"], edge["waiting"]) == (1, 1, 0)


async def test_budgets_are_named_once_they_are_nearly_spent(asked: Asked) -> None:
    async with MiniAgents(control=True, budget=Budget(tokens=100)) as system:
        reserved = system.own_budgets[0].reserve("/a", "model", 0, 80)
        reserved.settle(Usage(input_tokens=0, output_tokens=80))
        assert (await asked(system, "system.diagnose"))["budgets"] == []
        reserved = system.own_budgets[0].reserve("/a", "model", 0, 15)
        reserved.settle(Usage(input_tokens=0, output_tokens=15))
        (edge,) = (await asked(system, "system.diagnose"))["budgets"]

    assert (edge["spent_tokens"], edge["tokens"]) == (95, 100)
