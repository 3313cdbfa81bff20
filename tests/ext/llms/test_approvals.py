"""Approvals of tool calls by somebody outside."""

import asyncio
from typing import Any

import pytest

from miniagents import AnswerRefusedError, InteractionContext, MiniAgents, miniagent
from miniagents.ext.llms import Recovery, Tool, ToolResultMessage
from miniagents.ext.llms.provider import ModelRequest
from miniagents.journal import MemoryJournal
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.agents.deaths import Died, lived, lived_twice

sent: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_sent() -> None:
    sent.clear()


def send(to: str) -> str:
    """Send a mail."""
    sent.append(to)
    return f"sent to {to}"


class KeptScript(Script):
    """A script that can be an argument of a durable agent."""

    journal_key = "script"


def script_of(*names: str) -> KeptScript:
    calls = tuple(Call("send", {"to": name}, id=f"call-{name}") for name in names)

    def answer(request: ModelRequest) -> Reply:
        has_results = any(isinstance(message, ToolResultMessage) for message in request.messages)
        return Reply("done") if has_results else Reply("Let me see.", calls=calls)

    return KeptScript(answer)


def model(script: Script, **options: Any) -> Any:
    return ScriptedModel.fork(script=script, tools=[send], approve="wait", **options)


async def turns() -> None:
    await asyncio.sleep(0.1)


def results(replies: Any) -> list[str]:
    return [str(message) for message in replies if isinstance(message, ToolResultMessage)]


@pytest.mark.parametrize("journal", [None, MemoryJournal()], ids=["without a journal", "with a journal"])
async def test_three_approvals_of_one_turn_are_answered_out_of_order(journal: MemoryJournal | None, log: Any) -> None:
    async with MiniAgents(journal=journal, durable_agents=journal is not None) as mini:
        replies = model(script_of("ann", "bob", "eve")).inquire("Hi")
        await turns()
        waits = {wait.prompt: wait for wait in await mini.pending()}
        assert sent == []
        (ann,), (bob,), (eve,) = ([w for p, w in waits.items() if name in p] for name in ("ann", "bob", "eve"))
        assert '"arguments":"{\\"to\\":\\"ann\\"}"' in ann.prompt

        await mini.deliver("", eve.id, "yes", by="ada")
        await turns()
        assert sent == ["eve"]
        await mini.deliver("", ann.id, "not to her", by="bert")
        await mini.deliver("", bob.id, {"approved": True}, by="ada")

        assert results(await replies) == ["failed: not approved: not to her", "sent to bob", "sent to eve"]
    assert sent == ["eve", "bob"]
    answered = [entry for entry in log if entry["event"] == "llm.tool_answered"]
    assert [(entry["by"], entry["is_approved"]) for entry in answered] == [
        ("ada", True),
        ("bert", False),
        ("ada", True),
    ]


async def test_rejected_expired_and_cancelled_are_told_apart() -> None:
    async with MiniAgents() as mini:
        replies = model(script_of("ann", "bob"), approve_timeout=3600).inquire("Hi")
        await turns()
        rejected, expired = await mini.pending()
        await mini.deliver("", rejected.id, {"approved": False, "reason": "too late"})
        assert results(await replies) == [
            "failed: not approved: too late",
            "failed: not approved: nobody answered within 3600 s",
        ]
        with pytest.raises(AnswerRefusedError, match="waits no more"):
            await mini.deliver("", expired.id, "yes")

        replies = model(script_of("eve")).inquire("Hi")
        await turns()
        (cancelled,) = await mini.pending()
        seen: list[str] = []

        async def read() -> None:
            async for promise in replies:
                seen.append(str(await promise))

        reading = asyncio.ensure_future(read())
        await turns()
        await mini.interactions()[0].cancel("not wanted")
        await asyncio.wait([reading])
        reading.exception()
        assert await mini.pending() == ()
        with pytest.raises(AnswerRefusedError, match="waits no more"):
            await mini.deliver("", cancelled.id, "yes")
    assert sent == []


@pytest.mark.parametrize("answer", [False, "", "no", {"approved": "yes"}, {"approved": 1}])
async def test_nothing_but_a_clear_yes_approves(answer: Any) -> None:
    async with MiniAgents() as mini:
        replies = model(script_of("ann")).inquire("Hi")
        await turns()
        (wait,) = await mini.pending()
        await mini.deliver("", wait.id, answer if isinstance(answer, (str, dict)) else {"approved": answer})
        assert results(await replies)[0].startswith("failed: not approved:")
    assert sent == []


async def test_an_approval_does_not_hold_for_the_same_tool_with_other_arguments() -> None:
    def answer(request: ModelRequest) -> Reply:
        results = sum(isinstance(message, ToolResultMessage) for message in request.messages)
        names = ("ann", "bob")
        if results == len(names):
            return Reply("done")
        return Reply(calls=(Call("send", {"to": names[results]}, id="call-1"),))  # of a provider that counts badly

    async with MiniAgents() as mini:
        replies = model(KeptScript(answer)).inquire("Hi")
        await turns()
        (ann,) = await mini.pending()
        await mini.deliver("", ann.name, "yes")
        await turns()
        (bob,) = await mini.pending()
        assert bob.name != ann.name
        with pytest.raises(AnswerRefusedError, match="has an answer already"):
            await mini.deliver("", ann.name, "yes")
        await mini.deliver("", bob.name, "no")
        assert results(await replies) == ["sent to ann", "failed: not approved: no"]
    assert sent == ["ann"]


@miniagent
async def worker(ctx: InteractionContext) -> None:
    script = scripts["script"]
    ctx.reply(await model(script).inquire("Hi"))


scripts: dict[str, KeptScript] = {}


async def approve_all(mini: MiniAgents, approved: list[str]) -> None:
    while True:
        await asyncio.sleep(1)
        for wait in await mini.pending():
            await mini.deliver(wait.job, wait.id, "yes")
            approved.append(wait.id)


@pytest.mark.parametrize("at", range(26))
async def test_wherever_the_process_dies_nobody_is_asked_twice_for_what_was_answered(at: int) -> None:
    scripts["script"] = script_of("ann", "bob")
    approved: list[str] = []

    async def program(mini: MiniAgents) -> Any:
        answering = asyncio.ensure_future(approve_all(mini, approved))
        try:
            return await mini.run_job("job", worker)
        finally:
            answering.cancel()

    replies, _ = await lived_twice(program, at=at)

    assert results(replies)[-2:] == ["sent to ann", "sent to bob"]
    assert len(approved) == len(set(approved))  # what was confirmed is not asked again


async def test_a_tool_call_that_is_approved_tomorrow_goes_on_without_asking_the_model_again() -> None:
    scripts["script"] = script = script_of("ann")
    journal = MemoryJournal()

    async def program(mini: MiniAgents) -> Any:
        return await mini.run_job("job", worker)

    died = asyncio.Event()
    asyncio.get_running_loop().call_later(10, died.set)
    with pytest.raises(Died):
        await lived(journal, program, died)
    assert len(script.requests) == 1
    await asyncio.sleep(86_400)

    async def approves(mini: MiniAgents) -> Any:
        (wait,) = await mini.pending()
        await mini.deliver("job", wait.id, "yes")
        return await mini.run_job("job", worker)

    assert results(await lived(journal.after_death(), approves))[-1] == "sent to ann"
    assert len(script.requests) == 2
    assert sent == ["ann"]


async def test_approvals_are_waited_for_without_the_code_in_memory() -> None:
    scripts["script"] = script = script_of("ann", "bob")

    @miniagent(passivate_after=10.0, version="1")
    async def passive_worker(ctx: InteractionContext) -> None:
        replies = await model(script).inquire("Hi")
        ctx.reply(results(replies))

    async with MiniAgents(journal=MemoryJournal(), durable_agents=True) as mini:
        replies = mini.run_job("job", passive_worker)
        for number in (1, 0):
            await asyncio.sleep(11.0)
            assert mini.interactions() == ()
            wait = (await mini.pending())[number]
            await mini.deliver("job", wait.id, "yes")
        assert [str(reply) for reply in await replies] == ["sent to ann", "sent to bob"]
    assert sent == ["bob", "ann"]
    assert len(script.requests) == 2


async def test_an_approval_whose_time_is_over_is_refused_also_where_calls_have_no_time_any_more() -> None:
    script = script_of("ann")
    journal = MemoryJournal()
    timeouts: list[float | None] = [3600, None]

    @miniagent
    async def patient(ctx: InteractionContext) -> None:
        ctx.reply(await model(script, approve_timeout=timeouts.pop(0)).inquire("Hi"))

    async def program(mini: MiniAgents) -> Any:
        return await mini.run_job("job", patient)

    died = asyncio.Event()
    asyncio.get_running_loop().call_later(10, died.set)
    with pytest.raises(Died):
        await lived(journal, program, died)

    replies = await lived(journal.after_death(), program)

    assert "failed: not approved: nobody answered in time" in results(replies)
    assert sent == []


async def test_a_call_that_was_started_and_has_no_result_is_asked_for_again() -> None:
    scripts["script"] = script_of("ann")
    journal = MemoryJournal()
    begun = asyncio.Event()
    begins: list[str] = []

    async def slow(to: str) -> str:
        """Send a mail."""
        begins.append(to)
        begun.set()
        await asyncio.sleep(100 if len(begins) == 1 else 0)
        return f"sent to {to}"

    @miniagent
    async def careful(ctx: InteractionContext) -> None:
        tool = Tool(slow, name="send", recovery=Recovery.ASK)
        agent = ScriptedModel.fork(script=scripts["script"], tools=[tool], approve="wait", tool_timeout=None)
        ctx.reply(await agent.inquire("Hi"))

    async def program(mini: MiniAgents) -> Any:
        return await mini.run_job("job", careful)

    async def first(mini: MiniAgents) -> Any:
        replies = mini.run_job("job", careful)
        await turns()
        (wait,) = await mini.pending()
        assert '"was_started":false' in wait.prompt
        await mini.deliver("job", wait.id, "yes")
        return await replies

    with pytest.raises(Died):
        await lived(journal, first, begun)

    async def second(mini: MiniAgents) -> Any:
        replies = mini.run_job("job", careful)
        await turns()
        (wait,) = await mini.pending()
        assert '"was_started":true' in wait.prompt
        await mini.deliver("job", wait.id, "yes")
        return await replies

    assert results(await lived(journal.after_death(), second))[-1] == "sent to ann"
    assert begins == ["ann", "ann"]
