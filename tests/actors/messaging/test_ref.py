"""References: which are equal, and what becomes of them on the wire."""

import asyncio
import copy
import os
import pickle
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorSystem,
    ChildSpec,
    FrozenDict,
    Message,
    MiniAgents,
    Secret,
    StopReason,
    Supervisor,
    SupervisorRef,
    Terminated,
    TextMessage,
    decode,
    encode,
    miniagent,
)
from miniagents.actors.messaging.identity import hash_of
from miniagents.agents.call_target import AgentRef
from miniagents.errors import ActorStoppedError, DecodeError, MailboxFullError, NotSendableError
from miniagents.messages.codec import WIRE_TYPE
from tests.actors.actors import Counter, Crash, Read, Total, turns


class Found(Message):
    who: ActorRef


class Swarm(Message):
    leader: SupervisorRef
    agent: AgentRef
    others: tuple[ActorRef, ...] = ()
    free: Any = None


@miniagent
async def helper(ctx: Any) -> None:
    ctx.reply("helped")


ELSEWHERE = """
import asyncio, sys
from miniagents import ChildSpec, MiniAgents, Supervisor, encode
from tests.actors.actors import Counter
from tests.actors.messaging.test_ref import Swarm, helper

async def main():
    async with MiniAgents() as system:
        leader = await system.supervise(Supervisor("leader", children=[ChildSpec("one", Counter)]))
        agent = system.spawn(helper, name="agent")
        counter = system.spawn(Counter, name="counter")
        sys.stdout.buffer.write(encode(Swarm(leader=leader, agent=agent, others=(counter,))))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def elsewhere() -> bytes:
    """A message with references to actors of another process."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", ELSEWHERE], check=True, capture_output=True, env=env).stdout


async def test_references_of_two_systems_with_the_same_path_and_uid_are_two() -> None:
    async with ActorSystem() as one, ActorSystem() as other:
        a, b = one.spawn(Counter, name="a"), other.spawn(Counter, name="a")
        assert (a.path, a.uid, a.node) == (b.path, b.uid, b.node)
        assert a != b
        assert hash(a) != hash(b)
        assert len({a, b}) == 2
        assert repr(a) != repr(b)
        assert Found(who=a) != Found(who=b)
        assert Found(who=a).hash_key != Found(who=b).hash_key
        assert Found(who=a).content_key != Found(who=b).content_key


async def test_the_repr_of_a_reference_is_short_where_there_is_one_system() -> None:
    async with ActorSystem() as system:
        assert repr(system.spawn(Counter, name="a")) == "<ActorRef /a#2>"


@pytest.mark.parametrize("what", ["node_name", "node_epoch"])
async def test_another_node_or_another_life_of_a_node_makes_another_reference(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        data = encode(Found(who=ref))
        monkeypatch.setattr(ActorSystem, what, "other" if what == "node_name" else 1)
        decoded: Any = decode(data)
        assert decoded.who != ref
        assert not decoded.who.is_alive


async def test_a_reference_a_node_of_the_tree_and_a_tombstone_name_the_node_and_its_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with ActorSystem() as system:
        alone = system.spawn(Counter)
        assert (alone.node, alone.epoch) == ("", 0)
        assert (system.tree(alone.path).node, system.tree(alone.path).epoch) == ("", 0)

        data = encode(Found(who=alone))
        monkeypatch.setattr(ActorSystem, "node_name", "b")
        monkeypatch.setattr(ActorSystem, "node_epoch", 3)

        ref = system.spawn(Counter)
        assert (ref.node, ref.epoch) == ("b", 3)
        absent: Any = decode(data)
        assert (absent.who.node, absent.who.epoch) == ("", 0)
        page = system.tree(cursor="")
        assert [(node.node, node.epoch) for node in page.nodes] == [("b", 3)] * 3
        assert [node.uid for node in page.nodes[1:]] == [alone.uid, ref.uid]
        await ref.stop()
        (ended,) = system.tree(changed_since=page.version).ended
        assert (ended.node, ended.epoch, ended.uid) == ("b", 3, ref.uid)


async def test_a_decoded_reference_is_the_original_where_its_actor_lives_also_after_a_restart() -> None:
    async with MiniAgents() as system:
        leader = await system.supervise(Supervisor("leader", children=[ChildSpec("one", Counter)]))
        child = system.lookup("/leader/one")
        assert child is not None
        message = Swarm(
            leader=leader,
            agent=system.spawn(helper),
            others=(child, leader),
            free={"who": [child]},  # frozen at construction
            metadata=FrozenDict({"by": child}),
        )
        data = encode(message)
        child.tell(Crash())
        await turns(50)
        decoded: Any = decode(data)
        assert decoded == message
        assert hash(decoded) == hash(message)
        assert decoded.hash_key == message.hash_key
        assert decoded.content_key == message.content_key
        assert decoded.others[0] is child
        total: Total = await decoded.others[0].ask(Read())
        assert total.value == 0
        assert str(await decoded.agent.inquire()) == "helped"
        assert len(await decoded.leader.which_children()) == 1


async def test_a_decoded_reference_of_one_that_has_ended_equals_the_original_and_is_dead() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, name="a")
        data = encode(Found(who=ref))
        await ref.stop()
        again = system.spawn(Counter, name="a")
        decoded: Any = decode(data)
        assert decoded.who == ref
        assert hash(decoded.who) == hash(ref)
        assert decoded.who != again
        assert not decoded.who.is_alive
        decoded.who.tell(TextMessage("x"))
        assert [(letter.receiver, letter.message) for letter in system.dead_letters] == [(ref, TextMessage("x"))]
    assert decode(data) == Found(who=ref)  # and so it stays when the system has ended


async def test_a_reference_to_an_actor_elsewhere_says_what_it_names_and_is_not_alive(elsewhere: bytes) -> None:
    swarm: Any = decode(elsewhere)
    assert swarm == decode(elsewhere)
    assert hash(swarm) == hash(decode(elsewhere))
    assert decode(encode(swarm)) == swarm
    (counter,) = swarm.others
    assert (counter.path, counter.name, counter.uid, counter.node) == ("/counter", "counter", 5, "")
    assert not counter.is_alive
    assert repr(counter).startswith("<ActorRef /counter#5 of system ")
    assert await counter.stop() is not StopReason.NORMAL
    with pytest.raises(ActorStoppedError, match=r"^/counter: does not live here"):
        await counter.started()
    assert isinstance(await counter.terminated(), ActorStoppedError)


async def test_what_is_sent_to_an_actor_elsewhere_is_a_dead_letter_of_the_current_system(elsewhere: bytes) -> None:
    swarm: Any = decode(elsewhere)
    (counter,) = swarm.others
    async with MiniAgents() as system:
        here = [system.spawn(Counter) for _ in range(4)]
        assert counter not in here
        counter.tell(TextMessage("told"))
        await counter.send(TextMessage("sent"))
        with pytest.raises(ActorStoppedError, match=r"^/counter: does not live here"):
            await counter.ask(Read(), timeout=1.0)
        assert [letter.message for letter in system.dead_letters] == [TextMessage("told"), TextMessage("sent"), Read()]
        with pytest.raises(ActorStoppedError):
            await swarm.leader.which_children()
        with pytest.raises(ActorStoppedError):
            await swarm.agent.inquire("Hi")
        with pytest.raises(ActorStoppedError):
            swarm.agent.check_ready()
        system.group("g").join(counter)
        assert system.group("g").members == ()


async def test_without_a_system_to_take_it_what_is_sent_to_an_actor_elsewhere_is_an_error(elsewhere: bytes) -> None:
    swarm: Any = decode(elsewhere)
    (counter,) = swarm.others
    with pytest.raises(ActorStoppedError, match=r"^/counter: does not live here"):
        counter.tell(TextMessage("told"))
    with pytest.raises(ActorStoppedError, match=r"^/counter: does not live here"):
        await counter.ask(Read())


async def test_who_watches_an_actor_elsewhere_is_told_at_once_that_it_is_not_there(elsewhere: bytes) -> None:
    swarm: Any = decode(elsewhere)
    (counter,) = swarm.others
    seen: list[Any] = []

    class Watcher(Actor):
        async def on_start(self, ctx: ActorContext) -> None:
            ctx.watch(counter)

        async def receive(self, message: Message, ctx: ActorContext) -> None:
            ctx.unwatch(counter)
            ctx.stop(counter)
            seen.append(message)

    async with ActorSystem() as system:
        system.spawn(Watcher)
        await turns()
    (told,) = seen
    assert told.ref == counter
    assert isinstance(told.reason, ActorStoppedError)


@pytest.mark.parametrize("reason", [StopReason.SHUTDOWN, ValueError("crashed")])
async def test_a_terminated_travels(reason: Any) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        decoded: Any = decode(encode(Terminated(ref=ref, reason=reason)))
        assert decoded.ref is ref
        assert repr(decoded.reason) == repr(reason)


@pytest.mark.parametrize(
    "data", [(), ("a", "", 0, "/a"), ("a", "", 0, "/a", "1"), (1, "", 0, "/a", 1), ("a", "", 0, "/a", True), "aaaaa"]
)
def test_bytes_that_only_look_like_a_reference_are_a_decode_error(data: Any) -> None:
    wire = msgspec.msgpack.decode(encode(TextMessage("x")))
    wire[1:] = [
        "tests.actors.messaging.test_ref:Found",
        "who",
        [WIRE_TYPE, "actor", [0, *data] if data != "aaaaa" else data],
    ]
    with pytest.raises(DecodeError):
        decode(msgspec.msgpack.encode(wire))


async def test_a_reference_of_another_class_than_the_fields_is_a_decode_error() -> None:
    async with ActorSystem() as system:
        wire = msgspec.msgpack.decode(encode(Found(who=system.spawn(Counter))))
        wire[1] = "tests.actors.messaging.test_ref:Led"
        with pytest.raises(DecodeError, match="who"):
            decode(msgspec.msgpack.encode(wire))


class Led(Message):
    who: SupervisorRef


def test_a_secret_is_still_refused_by_name() -> None:
    class Hidden(Message):
        key: Secret

    hidden = Hidden(key=Secret("s3cret"))
    for use in (encode, lambda message: message.hash_key, lambda message: message.content_key):
        with pytest.raises(NotSendableError, match=r"Hidden\.key: a Secret cannot travel") as caught:
            use(hidden)
        assert "s3cret" not in str(caught.value)


async def test_a_reference_is_copied_and_pickled_as_what_it_names() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        assert copy.deepcopy(ref) is ref
        assert pickle.loads(pickle.dumps(ref)) is ref
        error = pickle.loads(pickle.dumps(MailboxFullError("full", message=Found(who=ref))))
        assert error.message == Found(who=ref)


def test_a_fork_of_the_process_has_systems_of_its_own() -> None:
    read, write = os.pipe()
    before = ActorSystem().id
    child = os.fork()
    if child == 0:
        os.write(write, ActorSystem().id.encode())
        os._exit(0)
    os.waitpid(child, 0)
    forked = os.read(read, 1000).decode()
    os.close(read)
    os.close(write)
    assert forked.partition("-")[0] != before.partition("-")[0]


def test_the_hash_of_a_reference_tells_systems_of_other_processes_from_those_of_this_one() -> None:
    number = ActorSystem().id.partition("-")[2]
    assert hash_of(f"{'0' * 32}-{number}") != int(number)


def test_a_system_that_is_gone_leaves_no_entry() -> None:
    async def main() -> bytes:
        async with ActorSystem() as system:
            return encode(Found(who=system.spawn(Counter, name="a")))

    data = asyncio.run(main())
    decoded: Any = decode(data)
    assert not decoded.who.is_alive
    assert decoded == decode(data)
