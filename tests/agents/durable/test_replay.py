"""Which row a call is, and how it is answered from it."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from miniagents import EventKind, MiniAgents, TextMessage, as_completed, miniagent
from miniagents.journal import Answer, Answers, MemoryJournal, RowState
from tests.agents.durable.lives import rows

calls: Counter[str] = Counter()
later: dict[str, Any] = {}
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()
    later.clear()


@miniagent(durable=True)
async def answers(ctx: Any, pause: float = 0.0) -> None:
    """Answer at once, when all is there."""
    text = str(await ctx.message_promises)
    await asyncio.sleep(pause)
    calls[text] += 1
    ctx.reply(f"{text}:{next(_numbers)}")


@miniagent(durable=True)
async def echoes(ctx: Any) -> None:
    """Answer each message before the next one comes."""
    async for promise in ctx.message_promises:
        text = str(await promise)
        calls[text] += 1
        ctx.reply(f"{text}:{next(_numbers)}")


@miniagent(durable=True)
async def leaves(ctx: Any) -> None:
    calls["leaves"] += 1
    async for promise in ctx.message_promises:
        ctx.reply(f"{await promise}:{next(_numbers)}")
        return


def _body(body: Any) -> Any:
    """Make a root of a function; it fails at its end in the first life, so that it runs again in the next one."""

    @miniagent(version="1", alias="body")
    async def root(ctx: Any) -> None:
        ctx.reply(await body(ctx))
        if "failed" not in later:
            later["failed"] = True
            raise ValueError("later")

    return root


async def _twice(body: Any, patience: float = 0.3) -> tuple[MemoryJournal, str]:
    """Run a body in two lives, and return the journal and the replies of the second one."""
    journal = MemoryJournal(patience=patience)
    root = _body(body)
    async with MiniAgents(journal=journal) as mini:
        with pytest.raises(ValueError, match="later"):
            await mini.run_job("j", root)
    later["first"] = dict(calls)
    async with MiniAgents(journal=journal) as mini:
        began = mini.loop.time()
        replies = str(await mini.run_job("j", root))
        later["took"] = mini.loop.time() - began
        return journal, replies


async def test_a_full_duplex_call_is_answered_reply_by_reply_as_its_messages_come() -> None:
    said: list[list[str]] = []

    async def body(ctx: Any) -> str:
        call = echoes.initiate_call()
        replies = aiter(call.reply_sequence(finish_call=False))
        heard = ["hello"]
        for _ in range(3):
            call.send_message(heard[-1])
            heard.append(str(await (await anext(replies))))
        call.finish()
        said.append(heard)
        return heard[-1]

    await _twice(body)

    assert said[0] == said[1]
    assert set(calls.values()) == {1}
    assert later["took"] == 0.0


async def test_a_call_whose_input_changes_runs_live_and_repeats_no_reply() -> None:
    async def body(ctx: Any) -> str:
        call = echoes.initiate_call()
        replies = aiter(call.reply_sequence(finish_call=False))
        heard = []
        for message in ("a", "b" if "failed" not in later else "c"):
            call.send_message(message)
            heard.append(str(await (await anext(replies))))
        call.finish()
        later.setdefault("heard", []).append(heard)
        return " ".join([str(await reply) async for reply in call.reply_sequence()])

    await _twice(body)

    (first_a, _), (second_a, second_c) = later["heard"]
    assert first_a == second_a
    assert second_c.startswith("c:")
    assert calls == {"a": 2, "b": 1, "c": 1}


class _Forgetful(MemoryJournal):
    """A journal that loses all messages while it is told to."""

    def read(self, query: Any) -> Any:
        read = super().read(query)
        if not later.get("forgets") or not isinstance(query, Answers):
            return read

        async def without_messages() -> dict[int, Answer]:
            return {row: Answer(answer.replies) for row, answer in (await read).items()}

        return asyncio.ensure_future(without_messages())


async def test_a_call_of_several_rows_whose_reply_is_lost_runs_again() -> None:
    @miniagent(durable=True)
    async def greets(ctx: Any) -> None:
        """Answer the first message always alike, and the next ones by their number."""
        calls["greets"] += 1
        async for promise in ctx.message_promises:
            text = str(await promise)
            ctx.reply(text if text == "hello" else f"{text}:{next(_numbers)}")

    async def body(ctx: Any) -> str:
        heard = []
        for name in ("a", "b"):
            call = greets.initiate_call()
            replies = aiter(call.reply_sequence(finish_call=False))
            for message in ("hello", name):
                call.send_message(message)
                heard.append(str(await (await anext(replies))))
            call.finish()
        return " ".join(heard)

    journal = _Forgetful(patience=0.3)
    root = _body(body)
    with pytest.raises(ValueError, match="later"):
        async with MiniAgents(journal=journal) as mini:
            await mini.run_job("j", root)
    later["forgets"] = True
    async with MiniAgents(journal=journal) as mini:
        heard = str(await mini.run_job("j", root))

    assert [text.partition(":")[0] for text in heard.split()] == ["hello", "a", "hello", "b"]
    assert calls == {"greets": 4}


async def test_equal_calls_get_their_answers_in_the_order_in_which_they_start() -> None:
    async def body(ctx: Any) -> str:
        one, two = answers.inquire("same"), answers.inquire("same")
        return f"{await one} {await two}"

    async def reversed_labels(ctx: Any) -> str:
        labels = ["a", "b"] if "failed" not in later else ["b", "a"]
        by_label = {label: answers.inquire("same", label=label) for label in labels}
        later.setdefault("labels", []).append({label: str(await call) for label, call in by_label.items()})
        return ""

    _, replies = await _twice(body)
    one, two = replies.split()
    assert one != two
    assert calls == {"same": 2}
    later.clear()
    await _twice(reversed_labels)
    assert later["labels"][0] == later["labels"][1]


async def test_equal_calls_of_two_parents_keep_their_answers() -> None:
    @miniagent(durable=True)
    async def parent(ctx: Any, name: str) -> None:
        ctx.reply(f"{name} {await answers.inquire('same')}")
        if "failed" not in later:
            await asyncio.sleep(1)  # it is under way when the job fails

    async def body(ctx: Any) -> str:
        names = ["a", "b"] if "failed" not in later else ["b", "a"]
        replies = [await anext(aiter(call)) for call in [parent.inquire(name=name) for name in names]]
        later.setdefault("heard", []).append(sorted([str(await reply) for reply in replies]))
        return ""

    await _twice(body)

    assert later["heard"][0] == later["heard"][1]
    assert calls == {"same": 2}


async def test_several_rows_are_told_apart_by_their_input_and_no_longer_than_the_patience() -> None:
    async def messages(first: str, pause: float) -> AsyncIterator[str]:
        await asyncio.sleep(pause)
        yield first
        await asyncio.sleep(pause)

    async def body(ctx: Any) -> str:
        order = ["a", "b"] if "failed" not in later else ["b", "a"]
        sent = {name: answers.inquire(messages(name, 0.1)) for name in order}
        later.setdefault("heard", []).append({name: str(await call) for name, call in sent.items()})
        return ""

    await _twice(body, patience=0.15)

    assert later["heard"][0] == later["heard"][1]
    assert calls == {"a": 1, "b": 1}


async def test_a_call_that_leaves_endless_input_is_answered_and_its_caller_waits_for_no_end() -> None:
    async def endless() -> AsyncIterator[str]:
        for number in itertools.count():
            yield f"m{number}"
            await asyncio.sleep(1)

    async def body(ctx: Any) -> str:
        return str(await leaves.inquire(endless()))

    journal = MemoryJournal()
    root = _body(body)
    with pytest.raises(ValueError, match="later"):
        async with MiniAgents(journal=journal) as mini:
            await mini.run_job("j", root)
    with pytest.raises(KeyError):
        async with MiniAgents(journal=journal) as mini:
            later["heard"] = str(await mini.run_job("j", root))
            raise KeyError  # the input goes on for ever

    assert later["heard"].startswith("m0:")
    assert calls == {"leaves": 1}


async def test_answers_come_in_the_order_in_which_they_had_come() -> None:
    async def body(ctx: Any) -> str:
        sent = [answers.inquire(name, pause=pause) for name, pause in (("a", 0.3), ("b", 0.1), ("c", 0.2))]
        heard = [str(await reply) async for reply in as_completed(*sent)]
        later.setdefault("heard", []).append(heard)
        return ""

    await _twice(body)

    assert [text[0] for text in later["heard"][0]] == ["b", "c", "a"]
    assert later["heard"][0] == later["heard"][1]
    assert later["took"] == 0.0


async def test_an_unfinished_stream_is_discarded_and_run_again() -> None:
    @miniagent(durable=True)
    async def streams(ctx: Any) -> None:
        calls["streams"] += 1
        number = calls["streams"]

        async def tokens(_: Any) -> AsyncIterator[str]:
            yield f"begun {number}"
            if number == 1:
                await asyncio.sleep(1e9)

        ctx.reply(TextMessage.promise(message_token_streamer=tokens))

    async def body(ctx: Any) -> str:
        replies = streams.inquire()
        first = await anext(aiter(replies))
        token = str(await anext(aiter(first)))
        if "failed" not in later:
            replies.cancel()
        return token

    journal = MemoryJournal()
    root = _body(body)
    with pytest.raises(ValueError, match="later"):
        async with MiniAgents(journal=journal) as mini:
            await mini.run_job("j", root)
    async with MiniAgents(journal=journal) as mini:
        assert str(await mini.run_job("j", root)) == "begun 2"


async def test_a_replay_is_silent() -> None:
    async def body(ctx: Any) -> str:
        later.setdefault("replaying", []).append(ctx.replaying)
        ctx.log.bind(a=1).info("at the start")
        await answers.inquire("old")
        later["replaying"].append(ctx.replaying)
        if "failed" in later:
            await answers.inquire("new")
            ctx.log.info("at something new")
            later["replaying"].append(ctx.replaying)
        return ""

    journal = MemoryJournal()
    root = _body(body)
    async with MiniAgents(journal=journal) as mini:
        with pytest.raises(ValueError, match="later"):
            await mini.run_job("j", root)
    async with MiniAgents(journal=journal) as mini:
        with mini.events.subscribe() as events, structlog.testing.capture_logs() as logs:
            await mini.run_job("j", root)
            mini.events.publish(EventKind.CRASH, "/the end")
            started = []
            async for event in events:
                if event.path == "/the end":
                    break
                if event.kind is EventKind.INTERACTION_STARTED:
                    started.append(event.path)

    assert later["replaying"] == [False, False, True, True, False]
    assert started == ["/agents/body", "/agents/answers"]
    assert [entry["event"] for entry in logs] == ["at something new"]


async def test_a_class_agent_without_a_snapshot_runs_again_and_what_it_asks_is_answered() -> None:
    @miniagent(durable=True)
    class Counting:
        def __init__(self) -> None:
            self.total = 0

        async def __call__(self, ctx: Any) -> None:
            self.total += 1
            calls["class"] += 1
            ctx.reply(f"{self.total} {await answers.inquire('below')}")

    async def body(ctx: Any) -> str:
        agent: Any = Counting
        return str(await agent.inquire())

    _, replies = await _twice(body)

    assert replies.startswith("1 below:")
    assert calls == {"class": 2, "below": 1}


async def test_a_call_that_was_cancelled_waits_as_long_as_the_patience_and_runs() -> None:
    async def body(ctx: Any) -> str:
        call = answers.inquire("x", pause=1.0)
        if "failed" not in later:
            await asyncio.sleep(0.01)
            call.cancel()
            return ""
        return str(await call)

    journal, replies = await _twice(body)

    assert replies.startswith("x:")
    assert later["took"] == pytest.approx(1.3)
    assert [row.state for row in rows(journal).values()] == [RowState.FINISHED] * 2
