"""Plays scenarios on our supervisor, and writes the same trace as player.escript."""

import asyncio
from typing import Any

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    AutoShutdown,
    ChildSpec,
    IgnoreStart,
    Message,
    OneForAll,
    OneForOne,
    Restart,
    RestForOne,
    Shutdown,
    SimpleOneForOne,
    StopReason,
    Supervisor,
    SupervisorRef,
)
from miniagents.actors.supervisors.supervisor_ref import ChildInfo
from miniagents.errors import ActorStoppedError, StartError, SupervisorError
from tests.supervision.otp.scenario import ChildSup, Scenario, Sup, Worker

STRATEGIES = {
    "one_for_one": OneForOne,
    "one_for_all": OneForAll,
    "rest_for_one": RestForOne,
    "simple_one_for_one": SimpleOneForOne,
}


class Do(Message):
    how: str


class Planned(Exception):
    """The failure that a plan asks for."""


class Player:
    """Plays one scenario."""

    @property
    def worker(self) -> type[Actor]:
        """The class of the workers."""
        return PlannedWorker

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.trace: list[str] = []
        self.tries: dict[str, int] = {}
        self.workers: dict[str, Any] = {}

    async def play(self) -> str:
        async with ActorSystem(on_failure=lambda _: None) as self.system:
            # In the tree it has an owner who is told of its end, as the process that calls start_link is.
            owner = self.system.spawn(Owner, name="owner")
            top: Any = None
            try:
                top = await self.system.supervise(self.supervisor(self.scenario.top), parent=owner)
                self.note("up")
            except StartError:
                self.note("failed")
            await self.settle(top)
            for op in self.scenario.ops:
                self.note("|")
                await self.do(op)
                await self.settle(top)
            self.note("|")
            if top is not None and top.is_alive:
                await top._cell.terminate(StopReason.SHUTDOWN)
            await self.settle(top)
        return " ".join(self.trace)

    def note(self, word: str) -> None:
        self.trace.append(word)

    def supervisor(self, sup: Sup) -> Supervisor:
        strategy = STRATEGIES[sup.strategy](max_restarts=sup.intensity, within=1000.0)
        children = [self.spec(child) for child in sup.children]
        return Supervisor(sup.name, strategy=strategy, children=children, auto_shutdown=AutoShutdown(sup.auto))

    def spec(self, child: Any) -> ChildSpec:
        options: dict[str, Any] = {"restart": Restart(child.restart), "significant": child.significant}
        if isinstance(child, ChildSup):
            return ChildSpec(child.id, self.supervisor(child.sup), **options)
        assert isinstance(child, Worker)
        kwargs: dict[str, Any] = {"player": self, "id": child.id, "plan": child.plan}
        shutdown = Shutdown.KILL if child.brutal else 5.0
        return ChildSpec(child.id, self.worker, kwargs=kwargs, shutdown=shutdown, **options)

    def find(self, name: str) -> SupervisorRef | None:
        """The supervisor of this name, wherever it is."""
        stack: list[Any] = [self.system.root]
        while stack:
            cell = stack.pop()
            if cell.name == name and isinstance(cell.ref, SupervisorRef):
                return cell.ref
            stack += (cell.children or {}).values()
        return None

    async def do(self, op: tuple[Any, ...]) -> None:
        match op:
            case ("do", id, how):
                ref = self.workers.get(id)
                if ref is None or not ref.is_alive or ref._cell.state.value in ("restarting", "stopping"):
                    self.note("nobody")
                else:
                    ref.tell(Do(how=how))
            case ("terminate", sup, id):
                await self.call(sup, "terminate_child", id)
            case ("terminate_pid", sup, id):
                if id in self.workers:
                    await self.call(sup, "terminate_child", self.workers[id])
                else:
                    self.note("nobody")
            case ("restart", sup, id):
                await self.call(sup, "restart_child", id)
            case ("delete", sup, id):
                await self.call(sup, "delete_child", id)
            case ("start", sup, child):
                await self.call(sup, "start_child", self.spec(child))
            case ("start_simple", sup, id, plan):
                await self.call(sup, "start_child", player=self, id=id, plan=plan)
            case ("count", sup):
                await self.call(sup, "count_children")

    async def call(self, sup: str, method: str, *args: Any, **kwargs: Any) -> None:
        self.note(await answer(self.find(sup), method, *args, **kwargs))

    async def settle(self, top: Any) -> None:
        """Wait until nothing more happens."""
        before, quiet = -1, 0
        while quiet < 3:
            for _ in range(20):
                await asyncio.sleep(0)
            quiet = quiet + 1 if len(self.trace) == before else 0
            before = len(self.trace)
        self.note(f"={await self.state(top)}")
        if top is not None and not top.is_alive and "end" not in self.__dict__:
            self.end = await top.terminated()
            self.note(f"end:{word(self.end)}")

    async def state(self, ref: Any) -> str:
        if ref is None or not ref.is_alive:
            return "dead"
        parts = []
        for child in await ref.which_children():
            if child.id is None:
                parts.append("dyn")
            elif isinstance(child.ref, SupervisorRef):
                parts.append(f"{child.id}={await self.state(child.ref)}")
            else:
                parts.append(word_of_child(child))
        return f"({','.join(parts)})"


async def answer(ref: SupervisorRef | None, method: str, *args: Any, **kwargs: Any) -> str:
    """Call a supervisor, and give its answer as OTP has it."""
    if ref is None:
        return "noproc"
    try:
        answer = await getattr(ref, method)(*args, **kwargs)
    except SupervisorError as error:
        return str(error.reason)
    except StartError:
        return "error"
    except ActorStoppedError:
        return "noproc"
    if method == "count_children":
        return f"{answer.specs}:{answer.active}:{answer.supervisors}:{answer.workers}"
    if method == "which_children":
        return f"({','.join(map(word_of_child, answer))})"
    return "ok:ignored" if answer is None and method in ("start_child", "restart_child") else "ok"


def word_of_child(child: ChildInfo) -> str:
    """What `which_children` says of a child, without what is below it."""
    if child.ref is None:
        return f"{child.id}=undefined"
    return f"{child.id}={'restarting' if child.ref == 'restarting' else 'up'}"


def word(reason: Any) -> str:
    return "crash" if isinstance(reason, BaseException) else str(reason.value)


class Owner(Actor):
    """Above the top of every scenario."""


class PlannedWorker(Actor):
    def __init__(self, player: Player | None = None, id: str = "", plan: tuple[str, ...] = ()) -> None:
        assert player is not None
        self.player = player
        self.id = id
        self.plan = plan

    async def on_start(self, ctx: ActorContext) -> None:
        player = self.player
        tries = player.tries[self.id] = player.tries.get(self.id, 0) + 1
        outcome = self.plan[tries - 1] if tries <= len(self.plan) else "ok"
        if outcome == "fail":
            player.note(f"fail:{self.id}")
            raise Planned
        if outcome == "ignore":
            player.note(f"ignore:{self.id}")
            raise IgnoreStart
        player.workers[self.id] = ctx.self
        player.note(f"start:{self.id}")

    async def on_stop(self, reason: Any) -> None:
        self.player.note(f"stop:{self.id}:{word(reason)}")

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        assert isinstance(message, Do)
        if message.how == "crash":
            raise Planned
        ctx.stop(reason=StopReason(message.how))
