"""Agents know on whose behalf they are called."""

import asyncio
import json
from typing import Any

import pytest

from miniagents import Caller, EventKind, InteractionContext, MiniAgents, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms import Budget
from miniagents.ext.serving import agent_app
from miniagents.ext.telemetry import instrument
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.serving.agents import failing
from tests.ext.serving.clients import Client
from tests.ext.telemetry.seen import Seen

ANN = {"authorization": "Bearer ann-token"}
TOKENS = {"ann": "ann-token", "bob": "bob-token"}


@miniagent
async def innermost(ctx: InteractionContext) -> None:
    ctx.reply(f"for {ctx.caller.name if ctx.caller is not None else None}")


@miniagent
class Middle:
    async def __call__(self, ctx: InteractionContext) -> None:
        await asyncio.sleep(0)
        assert ctx.caller is not None
        ctx.reply([ctx.caller.name, innermost.inquire()])


@miniagent
async def outer(ctx: InteractionContext) -> None:
    ctx.reply(Middle.inquire())  # type: ignore[attr-defined]


async def ask(app: Any, path: str = "/agents/outer", headers: Any = ANN, **more: Any) -> Client:
    client = Client(app, path, {"messages": "Hi", **more}, headers=headers)
    await client.asking
    return client


@pytest.mark.parametrize("conversation", [None, "one"])
async def test_an_agent_however_deep_knows_who_is_calling(conversation: str | None) -> None:
    async with (app := agent_app(outer, auth=TOKENS, admin_auth=None)).lifespan():
        for name in ("ann", "bob", "ann"):
            headers = {"authorization": f"Bearer {TOKENS[name]}"}
            answer = await ask(app, headers=headers, conversation=conversation)
            assert [one["text"] for one in json.loads(answer.body)["messages"]] == [name, f"for {name}"]


async def test_over_a_websocket_too() -> None:
    async with (app := agent_app(innermost, auth=TOKENS, admin_auth=None)).lifespan():
        client = Client(app, "/agents/innermost", is_socket=True, headers=ANN)
        client.say(type="finish")
        await client.asking
    assert client.events[1]["text"] == "for ann"


async def test_where_nobody_is_known_there_is_no_caller() -> None:
    async with (app := agent_app(innermost, auth=None, admin_auth=None)).lifespan():
        assert b"for None" in (await ask(app, "/agents/innermost")).body
    async with MiniAgents():
        assert str(await innermost.inquire()) == "for None"


@pytest.mark.parametrize("is_async", [True, False])
async def test_ones_own_auth_says_whose_a_token_is_and_what_else_is_known(is_async: bool) -> None:
    seen: list[Caller | None] = []

    @miniagent
    async def looks(ctx: InteractionContext) -> None:
        seen.append(ctx.caller)

    def claimed(token: str) -> Caller | str | None:
        name, _, groups = token.partition(":")
        return Caller(name, {"groups": groups.split(",")}) if groups else name if name == "ann" else None

    async def later(token: str) -> Caller | str | None:
        await asyncio.sleep(0)
        return claimed(token)

    async with (app := agent_app(looks, auth=later if is_async else claimed, admin_auth=None)).lifespan():
        tokens = ("cy:staff,admin", "ann", "eve", "")
        asked = [await ask(app, "/agents/looks", {"authorization": f"Bearer {token}"}) for token in tokens]

    assert [client.status for client in asked] == [200, 200, 401, 401]
    assert seen == [Caller("cy", {"groups": ("staff", "admin")}), Caller("ann")]
    assert seen[0] is not None
    assert seen[0].claims["groups"] == ("staff", "admin")


@pytest.mark.parametrize("wrong", [5, Caller("")])
async def test_an_auth_that_fails_is_a_500_that_tells_nothing(wrong: Any, log: list[Any]) -> None:
    def fails(token: str) -> Any:
        if token == "x":
            raise OSError("the password of the directory is 1234")
        return wrong

    async with (app := agent_app(innermost, auth=fails, admin_auth=None)).lifespan():
        for token in ("x", "y"):
            client = await ask(app, "/agents/innermost", {"authorization": f"Bearer {token}"})
            assert client.status == 500
            assert b"1234" not in client.body
    assert len([entry for entry in log if entry["log_level"] == "error"]) == 2


async def test_the_caller_is_in_logs_events_and_spans(log: list[Any]) -> None:
    @miniagent
    async def tells(ctx: InteractionContext) -> None:
        ctx.log.info("at work")
        ctx.reply(innermost.inquire())

    seen = Seen()
    app = agent_app([tells, failing], auth=TOKENS, admin_auth=None)
    with instrument(app.system, tracer_provider=seen.tracer_provider):
        async with app.lifespan():
            with app.system.events.subscribe() as events:
                await ask(app, "/agents/tells")
                await ask(app, "/agents/failing")
            told = [event async for event in events]

    assert {event.caller for event in told if event.kind is EventKind.INTERACTION_STARTED} == {"ann"}
    assert {event.caller for event in told if event.kind is EventKind.CRASH} == {"ann"}
    assert next(entry for entry in log if entry["event"] == "at work")["caller"] == "ann"
    assert next(entry for entry in log if entry["event"] == "service.agent_failed")["caller"] == "ann"
    spans = [span for span in seen.spans if span.name.startswith("invoke_agent")]
    assert len(spans) == 3
    assert {(span.attributes or {})["enduser.id"] for span in spans} == {"ann"}


async def test_a_tool_can_ask_who_is_calling() -> None:
    def mine(ctx: InteractionContext) -> str:
        """What belongs to the caller."""
        assert ctx.caller is not None
        return f"orders of {ctx.caller.name}"

    script = Script(Reply(calls=(Call("mine", {}),)), "Done.")
    model = ScriptedModel.fork(script=script, tools=[mine], alias="clerk")
    async with (app := agent_app(model, auth=TOKENS, admin_auth=None, expose="tools")).lifespan():
        assert b"orders of ann" in (await ask(app, "/agents/clerk")).body


async def test_each_caller_has_a_budget_of_its_own() -> None:
    budget = Budget(tokens=50, per="caller")
    model = ScriptedModel.fork(script=Script("one two"), budget=budget, alias="clerk", max_tokens=20)
    async with (app := agent_app(model, auth=TOKENS, admin_auth=None)).lifespan():

        async def status(name: str) -> int:
            return (await ask(app, "/agents/clerk", {"authorization": f"Bearer {TOKENS[name]}"})).status

        found = [await status("ann") for _ in range(20)]
        assert found[0] == 200
        assert found[-1] == 402
        assert await status("bob") == 200
        assert budget.of("ann").spent.tokens > budget.of("bob").spent.tokens > 0


def test_claims_cannot_be_changed() -> None:
    groups = ["staff"]
    caller = Caller("ann", {"groups": groups})
    groups.append("admin")
    assert caller.claims["groups"] == ("staff",)


def test_budgets_of_callers_are_checked() -> None:
    for options in ({"per": "agent"}, {"window": 0}, {"window": "1w"}, {"window": "d"}, {"window": "-1h"}):
        with pytest.raises(InvalidOptionError):
            Budget(1, **options)
