"""A storm on supervision trees: actors that misbehave in their hooks, and drivers that ask, kill, stop, and call the
supervisors, all at once."""

import asyncio
from random import Random
from typing import Any

from miniagents import (
    Actor,
    ActorContext,
    ActorInfo,
    ActorRef,
    ActorSystem,
    Backoff,
    ChildSpec,
    Message,
    OneForAll,
    OneForOne,
    Request,
    Restart,
    RestForOne,
    RetryPolicy,
    Shutdown,
    SimpleOneForOne,
    SpawnOptions,
    Supervisor,
    SupervisorRef,
    Terminated,
)
from miniagents.errors import MiniAgentsError
from miniagents.testing import Simulation
from tests.storms.calls import Boom, Calls, a_while, disturbed, turns

SHUTDOWNS: list[float | Shutdown] = [Shutdown.KILL, 0, 1.0, 5.0]

UNTIL = 30_000.0


class Do(Message):
    what: str = "nothing"
    turns: int = 0


class Get(Request[Message]):
    what: str = "nothing"
    turns: int = 0


DEEDS = [
    "nothing",
    "raise",
    "raise",
    "sleep",
    "turns",
    "swallow",
    "ask",
    "ask",
    "ask_timeout",
    "spawn",
    "stop",
    "kill_me",
    "kill_other",
    "watch",
    "unwatch",
    "timer",
    "task",
    "reply_later",
]
IN_HOOKS = ["nothing"] * 14 + ["raise", "sleep", "turns", "turns", "swallow", "stop"]


class Node(Actor):
    """Does what it is told, and misbehaves in its hooks now and then."""

    def __init__(self, random: Random, refs: list[ActorRef], depth: int = 0) -> None:
        self.random, self.refs, self.depth = random, refs, depth
        if random.random() < 0.02:
            raise Boom("in __init__")

    async def act(self, what: str, count: int) -> None:
        random, ctx = self.random, self.ctx
        other = random.choice(self.refs) if self.refs else ctx.self
        match what:
            case "raise":
                await turns(count)
                raise Boom(what)
            case "sleep":
                await asyncio.sleep(random.choice([0.01, 1, 4.9, 5, 6, 40]))
            case "turns":
                await turns(count + random.randrange(4))
            case "swallow":
                try:
                    await asyncio.sleep(random.choice([0.5, 3]))
                except asyncio.CancelledError:
                    await turns(random.randrange(3))
            case "ask":
                await other.ask(Get(random.choice(["nothing", "turns", "raise", "sleep"]), random.randrange(3)))
            case "ask_timeout":
                question = Get(random.choice(["nothing", "sleep", "swallow"]), random.randrange(3))
                await other.ask(question, timeout=random.choice([0, 0.5, 2]))
            case "spawn":
                if self.depth < 2:
                    self.refs.append(ctx.spawn(Node, random=random, refs=self.refs, depth=self.depth + 1))
            case "stop":
                ctx.stop()
            case "kill_me":
                ctx.self.kill()
            case "kill_other":
                other.kill()
            case "watch":
                ctx.watch(other)
            case "unwatch":
                ctx.unwatch(other)
            case "timer":
                ctx.schedule(random.choice([0, 0.5, 3]), Do(random.choice(["raise", "nothing", "stop"])))
            case "task":
                ctx.create_task(asyncio.sleep(random.choice([0, 1, 100])))
            case "reply_later":
                ctx.create_task(self.reply_later(ctx.reply_later(), random.choice([0, 1, 100])))

    async def reply_later(self, reply_to: Any, seconds: float) -> None:
        await asyncio.sleep(seconds)
        reply_to.reply(Do())

    async def act_in_hook(self) -> None:
        await self.act(self.random.choice(IN_HOOKS), self.random.randrange(4))

    async def on_start(self, ctx: ActorContext) -> None:
        await self.act_in_hook()

    async def on_stop(self, reason: Any) -> None:
        await self.act_in_hook()

    async def on_restart(self, reason: Any) -> None:
        await self.act_in_hook()

    async def receive(self, message: Message, ctx: ActorContext) -> Message | None:
        if isinstance(message, Terminated):
            return None
        assert isinstance(message, (Do, Get))
        await self.act(message.what, message.turns)
        return Do() if isinstance(message, Get) else None


class Storm:
    """One storm: the tree, those who live in it, and what is done to them."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.random = sim.random
        self.calls = Calls(sim)
        self.refs: list[ActorRef] = []
        self.supervisors: list[SupervisorRef] = []
        self.terminated: set[tuple[str, object]] = set()

    # The tree

    def strategy(self, simple: bool) -> Any:
        random = self.random
        kind: Any = SimpleOneForOne if simple else random.choice([OneForOne, OneForAll, RestForOne])
        backoff = random.choice([None, None, Backoff(0.1, 1.0)])
        return kind(max_restarts=random.choice([0, 1, 5, 1000, 1000]), within=5.0, backoff=backoff)

    def options(self) -> SpawnOptions:
        random = self.random
        return SpawnOptions(
            handler_timeout=random.choice([None, None, 2.0]),
            own_task=random.random() < 0.15,
            retry=RetryPolicy() if random.random() < 0.2 else None,
        )

    def child(self, id: str) -> ChildSpec:
        random = self.random
        return ChildSpec(
            id,
            Node,
            restart=random.choice([Restart.PERMANENT, Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY]),
            shutdown=random.choice(SHUTDOWNS),
            kwargs={"random": random, "refs": self.refs},
            options=self.options(),
        )

    def tree(self, name: str, depth: int = 0) -> Supervisor:
        random = self.random
        simple = depth > 0 and random.random() < 0.2
        children = []
        for number in range(1 if simple else random.randrange(1, 4)):
            if depth < 2 and random.random() < 0.3 and not simple:
                id = f"s{number}"
                restart = random.choice([Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY])
                children.append(ChildSpec(id, self.tree(id, depth + 1), restart=restart))
            else:
                children.append(self.child(f"c{number}"))
        return Supervisor(name, strategy=self.strategy(simple), children=children)

    def look(self, system: ActorSystem) -> None:
        """Know everybody who is alive."""
        for path in paths(system):
            ref = system.lookup(path)
            if isinstance(ref, SupervisorRef):
                if ref not in self.supervisors:
                    self.supervisors.append(ref)
            elif ref is not None and ref not in self.refs:
                self.refs.append(ref)

    # What is done to it

    async def drive(self, system: ActorSystem, number: int) -> None:
        for _ in range(self.random.randrange(5, 25)):
            await a_while(self.sim, 0.001, 0.05, 0.5, 3.0)
            self.look(system)
            try:
                await self.do_something(system, number)
            except MiniAgentsError as error:
                self.sim.note(f"refused: {error}")

    async def do_something(self, system: ActorSystem, number: int) -> None:
        random, watch = self.random, self.calls.watch
        pick = random.random()
        ref = random.choice(self.refs) if self.refs else None
        if pick < 0.76 and ref is not None:
            if pick < 0.35:
                ref.tell(Do(random.choice(DEEDS), random.randrange(4)))
            elif pick < 0.55:
                ask = ref.ask(
                    Get(random.choice(DEEDS), random.randrange(4)), timeout=random.choice([None, None, 0.5, 7])
                )
                watch(f"ask of {ref.path}", ask)
                if random.random() < 0.3:
                    self.sim.later(random.choice([0, 0, 0.01, 1]), ask.cancel, "the storm")
            elif pick < 0.65:
                watch(f"kill of {ref.path}", ref.kill())
            elif pick < 0.72:
                watch(f"stop of {ref.path}", ref.stop(drain=random.random() < 0.4))
            else:
                watch(f"the end of {ref.path}", ref.terminated())
        elif pick < 0.80:
            self.refs.append(system.spawn(Node, options=self.options(), random=random, refs=self.refs))
        elif self.supervisors:
            await self.call(system, random.choice(self.supervisors), number)

    async def call(self, system: ActorSystem, supervisor: SupervisorRef, number: int) -> None:
        random, watch, path = self.random, self.calls.watch, supervisor.path
        id: Any = random.choice(["c0", "c1", "s0"])
        if random.random() < 0.5:
            children = await watch(f"which_children of {path}", supervisor.which_children())
            if isinstance(children, list | tuple) and children:
                id = random.choice(children).id
        match random.choice(["terminate", "restart", "delete", "start", "start_simple", "count", "stop", "supervise"]):
            case "terminate":
                self.terminated.add((path, id))
                watch(f"terminate_child of {path}, {id}", supervisor.terminate_child(id))
            case "restart":
                watch(f"restart_child of {path}, {id}", supervisor.restart_child(id))
            case "delete":
                watch(f"delete_child of {path}, {id}", supervisor.delete_child(id))
            case "start":
                self.cancel_perhaps(
                    watch(f"start_child of {path}", supervisor.start_child(self.child(f"n{random.randrange(5)}")))
                )
            case "start_simple":
                watch(f"start_child of {path}, without a spec", supervisor.start_child())
            case "count":
                watch(f"count_children of {path}", supervisor.count_children())
            case "stop" if random.random() < 0.5:
                watch(f"stop of {path}", supervisor.stop())
            case "supervise":
                tree = self.tree(f"x{number}-{random.randrange(10**6)}", 1)
                self.cancel_perhaps(watch("supervise", system.supervise(tree)))

    def cancel_perhaps(self, task: "asyncio.Task[Any]") -> None:
        if self.random.random() < 0.3:
            self.sim.later(self.random.choice([0, 0, 0.01, 1]), task.cancel)

    # What must be so

    async def check_children(self, system: ActorSystem) -> None:
        """A PERMANENT child that nobody terminated lives, or is being restarted, as long as its supervisor; and nobody
        shows a child that is dead."""
        for path in paths(system):
            supervisor = system.lookup(path)
            if not isinstance(supervisor, SupervisorRef):
                continue
            children = await self.calls.watch(f"which_children of {path}, at the end", supervisor.which_children())
            if isinstance(children, BaseException):
                continue  # it has ended meanwhile
            for child in children:
                if child.ref is None:
                    lost = child.restart is Restart.PERMANENT and (path, child.id) not in self.terminated
                    assert not lost or not supervisor.is_alive, f"lost for ever: {path}/{child.id}"
                elif isinstance(child.ref, ActorRef):
                    assert child.ref.is_alive or not supervisor.is_alive, f"dead, and shown as alive: {path}/{child.id}"

    async def body(self) -> None:
        random = self.random
        async with ActorSystem() as system:
            for number in range(random.randrange(1, 3)):
                await self.calls.watch("supervise", system.supervise(self.tree(f"root{number}")))
            await asyncio.gather(*(self.drive(system, number) for number in range(random.randrange(1, 4))))
            quiet = random.choice([0, 0, 0.1, 300, 300])
            await asyncio.sleep(quiet)
            if quiet == 300:
                self.sim.disturb()
                await asyncio.sleep(100)
                await self.check_children(system)
            if random.random() < 0.2:
                raise Boom("the body")


def paths(system: ActorSystem) -> list[str]:
    """The paths of all that live, parents first."""
    found = []
    stack: list[ActorInfo] = [system.tree()]
    while stack:
        info = stack.pop()
        if info.path != "/":
            found.append(info.path)
        stack += reversed(info.children)
    return found


async def storm(sim: Simulation) -> None:
    """Let it storm."""
    disturbed(sim)
    one = Storm(sim)
    body = one.calls.watch("the system", one.body())  # a root that gives up ends it with its error
    await asyncio.wait([body], timeout=20_000)
    await one.calls.have_all_come_back(within=1_000)
