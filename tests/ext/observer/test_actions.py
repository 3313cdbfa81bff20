import asyncio
from typing import Any

import pytest

from miniagents import Actor, InteractionContext, TextMessage, miniagent
from miniagents.errors import InvalidOptionError, PromiseCancelledError
from miniagents.ext.observer import WebObserver
from miniagents.ext.observer.actions import KINDS, allowed_kinds
from tests.ext.observer.observed import ORIGIN, Learner, act, observed, page_of, sleeper


class Counter(Actor):
    count = 0

    async def receive(self, message: Any, ctx: Any) -> TextMessage:
        self.count += 1
        return TextMessage(str(self.count))


@miniagent
async def caller(ctx: InteractionContext) -> None:
    ctx.reply(await sleeper.inquire())


@miniagent
async def asks(ctx: InteractionContext) -> None:
    ctx.reply(f"said {await ctx.wait_for('approval', prompt='May I?')}")


def seen(system: Any, path: str) -> dict[str, Any]:
    """What a page has seen of an actor."""
    info = system.tree(path, depth=0)
    return {"uid": info.uid, "epoch": info.epoch, "restarts": info.restarts}


async def test_an_actor_is_restarted_and_the_action_is_kept_and_logged(log: list[Any]) -> None:
    async with observed() as (system, observer), page_of(observer) as client:
        counter = system.spawn(Counter, name="counter")
        assert str(await counter.ask(TextMessage("count"))) == "1"

        status, said = await act(client, observer, "restart", target="/counter", expect=seen(system, "/counter"))

        assert (status, said) == (200, {"done": "is restarting"})
        assert str(await counter.ask(TextMessage("count"))) == "1"
    (kept,) = [happening for happening in observer.happenings.values() if happening.kind == "action"]
    assert (kept.path, kept.text, kept.by) == ("/counter", "restart: is restarting", "browser 1")
    (line,) = [entry for entry in log if entry["event"] == "observer.action"]
    assert (line["actor"], line["action"], line["by"]) == ("/counter", "restart", "browser 1")


async def test_an_actor_is_stopped() -> None:
    async with observed() as (system, observer), page_of(observer) as client:
        counter = system.spawn(Counter, name="counter")
        await counter.started()

        status, _ = await act(client, observer, "stop", target="/counter", expect=seen(system, "/counter"))
        await counter.terminated()

        assert status == 200


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"uid": 99_999}, "another actor is at this path now"),
        ({"epoch": 7}, "its node has been started again"),
        ({"restarts": 3}, "it has been restarted meanwhile (0 restarts)"),
    ],
)
async def test_an_action_on_an_actor_that_has_changed_is_refused_with_the_reason(
    change: dict[str, int], reason: str
) -> None:
    async with observed() as (system, observer), page_of(observer) as client:
        counter = system.spawn(Counter, name="counter")
        await counter.started()

        expect = seen(system, "/counter") | change
        status, said = await act(client, observer, "stop", target="/counter", expect=expect)

        assert (status, said) == (409, {"refused": reason})
        assert counter.is_alive


async def test_an_actor_that_has_ended_is_not_acted_on() -> None:
    async with observed() as (_, observer), page_of(observer) as client:
        status, said = await act(client, observer, "restart", target="/nobody", expect={})

    assert (status, said) == (409, {"refused": "there is no actor at /nobody any more"})


async def test_an_interaction_is_cancelled_with_all_below_it() -> None:
    async with observed() as (system, observer), page_of(observer) as client:
        replies = caller.inquire()
        while len(system.interactions()) < 2:  # noqa: ASYNC110 - turns of the loop, until both run
            await asyncio.sleep(0)
        above, below = system.interactions()

        expect = {"path": above.path, "attempts": 0}
        status, said = await act(client, observer, "cancel", target=above.id, expect=expect)

        assert (status, said) == (200, {"done": f"interaction {above.id} was cancelled, with 1 below it"})
        with pytest.raises(PromiseCancelledError):
            await replies
        await above.wait_stopped()
        assert above.done()
        assert below.done()
        assert observer.records[below.id].error_type == "PromiseCancelledError"


@pytest.mark.parametrize(
    ("target", "expect", "reason"),
    [
        (12_345, {"path": "/agents/sleeper", "attempts": 0}, "the interaction is not known any more"),
        ("1", {"path": "/agents/sleeper", "attempts": 0}, "the interaction is not known any more"),
        (1, {"path": "/agents/other", "attempts": 0}, "the interaction is one of another agent"),
        (1, {"path": "/agents/sleeper", "attempts": 2}, "the interaction is at another attempt now"),
    ],
)
async def test_an_interaction_that_is_not_what_was_seen_is_not_cancelled(
    target: Any, expect: dict[str, Any], reason: str
) -> None:
    async with observed() as (system, observer), page_of(observer) as client:
        replies = sleeper.inquire()
        while not system.interactions():  # noqa: ASYNC110 - turns of the loop
            await asyncio.sleep(0)
        (interaction,) = system.interactions()

        status, said = await act(client, observer, "cancel", target=target, expect=expect)

        assert (status, said) == (409, {"refused": reason})
        assert not interaction.done()
        await interaction.cancel()
        replies.mark_seen()


async def test_an_interaction_that_has_ended_is_not_cancelled() -> None:
    @miniagent
    async def quick(ctx: InteractionContext) -> None:
        ctx.reply("done")

    async with observed() as (_, observer), page_of(observer) as client:
        await quick.inquire()
        (record,) = observer.records.values()

        expect = {"path": record.path, "attempts": 0}
        status, said = await act(client, observer, "cancel", target=record.id, expect=expect)

    assert (status, said) == (409, {"refused": "the interaction has ended"})


async def test_a_dead_letter_is_sent_again_and_is_kept_no_longer_once_its_receiver_has_accepted_it() -> None:
    async with observed() as (system, observer), page_of(observer) as client:
        learner = system.spawn(Learner, name="learner")
        learner.tell(TextMessage("first"))
        learner.tell(TextMessage("second"))
        await learner.ask(TextMessage("learn"))
        first, second = system.dead_letters

        alone = await act(client, observer, "resend", targets=[first.id])
        both = await act(client, observer, "resend", targets=[first.id, second.id])
        kept = list(system.dead_letters)
        again = await act(client, observer, "resend", targets=[second.id])
        await learner.ask(TextMessage("learn"))

        assert alone == (200, {"done": "1 of 1 dead letters were accepted"})
        assert both == (409, {"refused": "1 of 2 dead letters are not kept any more"})
        assert kept == [second]
        assert again[0] == 200
        assert len(system.dead_letters) == 0
        assert system.dead_letters.total == 2, "a letter that was accepted is dead no more"
        assert system.tree("/learner", depth=0).handled == 6
    (done, *_) = [happening for happening in observer.happenings.values() if happening.kind == "action"]
    assert (done.path, done.text) == ("/learner", "resend: 1 of 1 dead letters were accepted")


async def test_a_dead_letter_stays_while_its_receiver_does_not_accept_it() -> None:
    async with observed() as (system, observer), page_of(observer) as client:
        counter = system.spawn(Counter, name="counter")
        await counter.stop()
        counter.tell(TextMessage("too late"))
        (letter,) = system.dead_letters

        refused = await act(client, observer, "resend", targets=[letter.id])
        kept = len(system.dead_letters)
        dropped = await act(client, observer, "drop", targets=[letter.id])
        gone = await act(client, observer, "drop", targets=[letter.id])

        assert refused[0] == 409
        assert "the dead letter stays" in refused[1]["refused"]
        assert kept == 1
        assert dropped == (200, {"done": "1 dead letters were dropped"})
        assert gone == (409, {"refused": "1 of 1 dead letters are not kept any more"})


async def test_a_wait_is_answered() -> None:
    async with observed() as (system, observer), page_of(observer) as client:
        replies = asks.inquire()
        while not (waits := await system.pending()):  # noqa: ASYNC110 - turns of the loop
            await asyncio.sleep(0)

        expect = {"job": "", "agent": waits[0].agent}
        status, _ = await act(client, observer, "answer", target=waits[0].id, answer="go on", expect=expect)

        assert status == 200
        assert str(await replies) == "said go on"


@pytest.mark.parametrize("kind", KINDS)
async def test_read_only_does_nothing_whatever_is_asked(kind: str) -> None:
    async with observed(actions=False) as (system, observer), page_of(observer) as client:
        counter = system.spawn(Counter, name="counter")
        await counter.started()

        status, said = await act(client, observer, kind, target="/counter", expect=seen(system, "/counter"))

        assert (status, said) == (409, {"refused": f"the action {kind!r} is turned off here"})
        assert counter.is_alive


async def test_each_kind_can_be_turned_off() -> None:
    async with observed(actions=["drop"]) as (system, observer), page_of(observer) as client:
        counter = system.spawn(Counter, name="counter")
        await counter.stop()
        counter.tell(TextMessage("too late"))
        (letter,) = system.dead_letters

        assert (await act(client, observer, "resend", targets=[letter.id]))[0] == 409
        assert (await act(client, observer, "drop", targets=[letter.id]))[0] == 200


async def test_an_action_for_another_process_is_refused() -> None:
    async with observed() as (_, observer), page_of(observer) as client:
        body = {"kind": "drop", "boot": "another", "targets": [1]}
        answer = await client.post("/actions", json=body, headers=ORIGIN)

    assert answer.status_code == 409
    assert "another process" in answer.json()["refused"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"kind=drop", "application/x-www-form-urlencoded", 415),
        (b"{", "application/json", 400),
        (b'"' + b"x" * 70_000 + b'"', "application/json", 413),
        (b"[]", "application/json", 409),
        (b'{"kind": "explode"}', "application/json", 409),
    ],
)
async def test_what_is_no_action_is_refused(content: bytes, kind: str, status: int) -> None:
    async with observed() as (_, observer), page_of(observer) as client:
        answer = await client.post("/actions", content=content, headers={"content-type": kind, **ORIGIN})

    assert answer.status_code == status


def test_a_kind_of_actions_that_there_is_not_is_a_mistake() -> None:
    with pytest.raises(InvalidOptionError, match="not 'explode'"):
        WebObserver(actions=["explode"])
    assert allowed_kinds("drop") == {"drop"}
