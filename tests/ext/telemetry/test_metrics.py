"""Metrics: what is counted, by what, and that counters never go back."""

import asyncio
import threading

import pytest

from miniagents import Actor, ActorContext, ActorSystem, InteractionContext, Message, MiniAgents, TextMessage, miniagent
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.telemetry.seen import Seen


class Echo(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        if str(message) == "crash":
            raise RuntimeError("crash")
        if str(message) == "wait":
            await asyncio.sleep(10)
        return message


@miniagent
async def slow(ctx: InteractionContext) -> None:
    await asyncio.sleep(2)
    ctx.reply("done")


@miniagent
async def failing(ctx: InteractionContext) -> None:
    raise ValueError("failing")


async def add(a: int, b: int) -> int:
    await asyncio.sleep(0.5)
    return a + b


ECHO = {"miniagents.actor.type": "Echo"}


async def test_messages_mailboxes_restarts_and_dead_letters_are_counted_by_class(seen: Seen) -> None:
    async with ActorSystem() as system:
        seen.instrument(system)
        one, other = system.spawn(Echo), system.spawn(Echo)
        await one.ask(TextMessage("a"))
        with pytest.raises(RuntimeError):
            await other.ask(TextMessage("crash"))
        await other.ask(TextMessage("b"))
        for text in ("wait", "c", "d"):
            one.tell(TextMessage(text))
        await asyncio.sleep(1)
        stopped = system.spawn(Echo)
        await stopped.stop()
        stopped.tell(TextMessage("e"))

        assert seen.points("miniagents.actors") == [(ECHO, 2)]
        assert seen.points("miniagents.messages.handled") == [(ECHO, 2)]
        assert seen.points("miniagents.mailbox.depth") == [(ECHO, 2)]
        assert seen.points("miniagents.actor.restarts") == [(ECHO, 1)]
        assert seen.points("miniagents.dead_letters") == [({"miniagents.reason": "stopped"}, 1)]
    assert seen.points("miniagents.actors") == []


async def test_counters_keep_what_actors_and_systems_that_are_gone_have_counted(seen: Seen) -> None:
    for _ in range(2):
        async with ActorSystem() as system:
            telemetry = seen.instrument(system)
            gone, there = system.spawn(Echo), system.spawn(Echo)
            await gone.ask(TextMessage("a"))
            await there.ask(TextMessage("a"))
            await gone.stop()
            gone.tell(TextMessage("b"))
            telemetry.uninstrument()

    assert seen.points("miniagents.messages.handled") == [(ECHO, 4)]
    assert seen.points("miniagents.dead_letters") == [({"miniagents.reason": "stopped"}, 2)]


async def test_a_counter_that_is_read_while_an_actor_ends_does_not_go_back(seen: Seen) -> None:
    async with ActorSystem() as system:
        seen.instrument(system)
        echo = system.spawn(Echo, name="echo")
        await echo.ask(TextMessage("a"))
        before = seen.points("miniagents.messages.handled")

        children = system.root.children
        assert children is not None
        cell = children.pop("echo")  # out of the tree, and not yet said to be gone: another thread may see that
        assert seen.points("miniagents.messages.handled") == before == [(ECHO, 1)]
        children["echo"] = cell


async def test_two_systems_with_one_provider_are_added_up(seen: Seen) -> None:
    async with ActorSystem() as first, ActorSystem() as second:
        for system in (first, second):
            seen.instrument(system)
            await system.spawn(Echo).ask(TextMessage("a"))

        assert seen.points("miniagents.messages.handled") == [(ECHO, 2)]
        assert seen.points("miniagents.messages.handled") == [(ECHO, 2)]


async def test_interactions_are_counted_while_they_run_and_timed_when_they_end(seen: Seen) -> None:
    async with MiniAgents() as system:
        seen.instrument(system)
        both = [slow.inquire(), slow.inquire()]
        await asyncio.sleep(1)
        assert seen.points("miniagents.interactions") == [({"gen_ai.agent.name": "slow"}, 2)]
        for replies in both:
            await replies
        with pytest.raises(ValueError, match="failing"):
            await failing.inquire()

        assert seen.points("miniagents.interactions") == []
        assert seen.points("miniagents.messages.handled") == [
            ({"miniagents.actor.type": "slow"}, 2),
            ({"miniagents.actor.type": "failing"}, 1),
        ]
    assert seen.points("gen_ai.invoke_agent.duration") == [
        ({"gen_ai.agent.name": "slow"}, (2, 4.0)),
        ({"gen_ai.agent.name": "failing", "error.type": "ValueError"}, (1, 0.0)),
    ]


async def test_tokens_durations_and_the_first_chunk_are_measured(seen: Seen) -> None:
    script = Script(
        Reply(calls=(Call("add", {"a": 1, "b": 2}),), delay=1.0, input_tokens=10),
        Reply("three it is", delay=1.0, input_tokens=20),
    )
    async with MiniAgents() as system:
        seen.instrument(system)
        await ScriptedModel.fork(script=script, tools=[add]).inquire("Hi")

    model = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "scripted",
        "gen_ai.response.model": "scripted",
    }
    written = 2 + 3  # pieces of the call, and words
    assert seen.points("gen_ai.client.token.usage") == [
        ({**model, "gen_ai.token.type": "input"}, (2, 30)),
        ({**model, "gen_ai.token.type": "output"}, (2, written)),
    ]
    assert seen.points("gen_ai.client.operation.duration") == [(model, (2, float(written)))]
    assert seen.points("gen_ai.client.operation.time_to_first_chunk") == [(model, (2, 2.0))]
    assert seen.points("gen_ai.execute_tool.duration") == [
        (
            {"gen_ai.tool.name": "add", "gen_ai.tool.type": "function", "gen_ai.agent.name": "ScriptedModel"},
            (1, 0.5),
        )
    ]


async def test_a_reply_that_does_not_stream_has_no_first_chunk(seen: Seen) -> None:
    async with MiniAgents() as system:
        seen.instrument(system)
        await ScriptedModel.fork(script=Script("ok"), stream=False).inquire("Hi")

    assert seen.points("gen_ai.client.operation.time_to_first_chunk") == []
    assert len(seen.points("gen_ai.client.operation.duration")) == 1


@pytest.mark.real_time
async def test_metrics_are_read_from_another_thread_while_the_tree_changes(seen: Seen) -> None:
    failures: list[BaseException] = []
    handled: list[int] = []
    ended = threading.Event()

    def read() -> None:
        try:
            while not ended.is_set():
                handled.extend(number for _, number in seen.points("miniagents.messages.handled"))
        except BaseException as error:
            failures.append(error)

    async with ActorSystem() as system:
        seen.instrument(system)
        reader = threading.Thread(target=read)
        reader.start()
        try:
            for _ in range(100):
                refs = [system.spawn(Echo) for _ in range(20)]
                for ref in refs:
                    await ref.ask(TextMessage("a"))
                await asyncio.gather(*(ref.stop() for ref in refs))
        finally:
            ended.set()
            reader.join()

        assert failures == []
        assert handled == sorted(handled)
        assert seen.points("miniagents.messages.handled") == [(ECHO, 2_000)]
