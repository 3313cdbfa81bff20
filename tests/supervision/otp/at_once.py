"""Plays the scenarios of several clients on our supervisor, in an order that a seed draws."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any

from miniagents import Actor, ActorContext, ActorSystem, IgnoreStart, Message, StopReason
from miniagents.testing import VirtualTimeLoop
from tests.supervision.otp.clients import ClientScenario, Op
from tests.supervision.otp.ours import Do, Owner, Planned, Player, answer, word
from tests.supervision.otp.scenario import erlang

CALLS = {
    "terminate": "terminate_child",
    "restart": "restart_child",
    "delete": "delete_child",
    "which": "which_children",
    "count": "count_children",
}
# Turns of the loop: nothing in these plays needs time to pass.
PAUSES = (0, 0, 0, 0, 1, 1, 2, 3, 4, 6, 9, 14, 20)
HOOKS = (0, 0, 0, 1, 1, 2, 3, 5, 8)


@dataclass(frozen=True)
class Outcome:
    """What could be seen of one play.

    Attributes:
        words: The starts and stops of all workers, in order.
        answers: What each client was answered, in order.
        state: The tree at the end.
    """

    words: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    state: str

    def erlang(self, log: list[str]) -> str:
        """The outcome as a term, with the log of a play that showed it."""
        words = ",".join(map(quoted, self.words))
        answers = ",".join(f"[{','.join(map(quoted, some))}]" for some in self.answers)
        return f"{{[{words}],[{answers}],{quoted(self.state)},[{','.join(log)}]}}"

    def __str__(self) -> str:
        answers = "; ".join(f"client {n}: {' '.join(some) or '-'}" for n, some in enumerate(self.answers))
        return f"{' '.join(self.words)} | {answers} | {self.state}"


def quoted(text: str) -> str:
    return f'"{text}"'


def term(scenario: ClientScenario, outcomes: dict[Outcome, list[str]]) -> str:
    """A line for witness.escript."""
    clients = ",".join(f"[{','.join(map(op_term, ops))}]" for ops in scenario.clients)
    found = ",".join(outcome.erlang(log) for outcome, log in outcomes.items())
    return f"{{{scenario.seed},{erlang(scenario.top)},[{clients}],[{found}]}}."


def op_term(op: Op) -> str:
    return f"{{{','.join(map(erlang, op))}}}"


class BadEnd(AssertionError):
    """A call that does not come back, a system that does not end or fails, or a worker that outlives it."""


class ClientsPlayer(Player):
    """Plays one scenario in the order of one seed.

    Attributes:
        log: What happened, with the moments of the calls: from it OTP finds the play sooner.
    """

    def __init__(self, scenario: ClientScenario, seed: int) -> None:
        super().__init__(scenario)  # type: ignore[arg-type]  # its own `play` is not used
        self.clients = scenario.clients
        self.random = Random(f"{scenario.seed} {seed}")
        self.log: list[str] = []
        self.answers: list[list[str]] = [[] for _ in self.clients]
        self.ends: list[Any] = []
        self.instances: dict[str, ClientsWorker] = {}
        self.began = False

    @property
    def worker(self) -> type[Actor]:
        return ClientsWorker

    def outcome(self) -> Outcome:
        """Play it.

        Raises:
            BadEnd: Some call or end waits for ever, the system fails, or a worker is left.
        """
        loop = VirtualTimeLoop()
        loop.set_exception_handler(lambda *_: None)
        try:
            played = self._in_time(self._play(), 1000.0, "the system does not end")
            outcome: Outcome = loop.run_until_complete(played)
        except Exception as error:
            raise BadEnd(f"{error!r}, after {' '.join(self.log)}") from error
        finally:
            loop.close()
        return outcome

    async def _in_time(self, work: Coroutine[Any, Any, Any], seconds: float, else_: str) -> Any:
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait([task], timeout=seconds)
        if not done:
            raise BadEnd(else_)
        return task.result()

    async def _play(self) -> Outcome:
        async with ActorSystem(on_failure=lambda _: None) as self.system:
            owner = self.system.spawn(Owner, name="owner")
            self.top = await self.system.supervise(self.supervisor(self.scenario.top), parent=owner)
            self.began = True
            clients = [asyncio.ensure_future(self._client(n)) for n in range(len(self.clients))]
            _, waiting = await asyncio.wait(clients, timeout=0.5)
            if waiting:
                stuck = [self.clients[n][len(self.answers[n])] for n, client in enumerate(clients) if client in waiting]
                raise BadEnd(f"no answer to {stuck}")
            await asyncio.sleep(0.5)  # until nothing more happens
            state = await self._in_time(self.state(self.top), 0.5, "which_children does not answer")
            self.began = False
            words = tuple(self.trace)
            for end in self.ends:
                await self._in_time(settled(end), 0.5, "the end of stop(), kill() or terminate() is not told")
        left = [id for id, instance in self.instances.items() if instance.lives]
        if left:
            raise BadEnd(f"{left} outlive the system")
        return Outcome(words, tuple(tuple(filter(None, some)) for some in self.answers), f"={state}")

    def note(self, word: str) -> None:
        if self.began:
            self.trace.append(word)
            self.log.append(f'{{word,"{word}"}}')

    async def pause(self, turns: tuple[int, ...]) -> None:
        """Let others have their turns."""
        if self.began:
            for _ in range(self.random.choice(turns)):
                await asyncio.sleep(0)

    async def _client(self, n: int) -> None:
        for op in self.clients[n]:
            await self.pause(PAUSES)
            self.log.append(f"{{op,{n}}}")
            self.answers[n].append(await self._do(op, n))

    async def _do(self, op: Op, n: int) -> str:
        match op:
            case ("do", id, how):
                instance = self.instances.get(id)
                if instance is not None:
                    instance.ctx.self.tell(DoOnce(how=how, start=instance.start))
            case ("kill" | "stop" as how, id):
                instance = self.instances.get(id)
                if instance is not None and instance.lives:
                    self.ends.append(getattr(instance.ctx.self, how)())
            case ("shutdown",):
                self.log.append(f"{{sent,{n},shutdown}}")
                self.ends.append(self.top._cell.terminate(StopReason.SHUTDOWN))  # type: ignore[attr-defined]
            case ("start", sup, child):
                return await self._ask(n, sup, "start_child", self.spec(child))
            case (kind, sup, *args):
                return await self._ask(n, sup, CALLS[kind], *args)
        return ""

    async def _ask(self, n: int, sup: str, method: str, *args: Any) -> str:
        said = await answer(self.find(sup), method, *args)
        self.log.append(f"{{answer,{n}}}")
        return said


async def settled(end: Any) -> None:
    """Wait for it, however it ends."""
    try:
        await end
    except Exception:
        return


class DoOnce(Do):
    """What is sent to a process of OTP ends with it; here the mailbox outlives the instance."""

    start: int


class ClientsWorker(Actor):
    """A worker whose hooks take some turns, as the order of the play has it.

    Attributes:
        lives: From the beginning of its start to the end of its stop.
        start: Which of the starts of this child it is.
    """

    def __init__(self, player: ClientsPlayer | None = None, id: str = "", plan: tuple[str, ...] = ()) -> None:
        assert player is not None
        self.player = player
        self.id = id
        self.plan = plan

    async def on_start(self, ctx: ActorContext) -> None:
        player = self.player
        self.start = player.tries[self.id] = player.tries.get(self.id, 0) + 1
        self.lives = True
        player.instances[self.id] = self
        player.note(f"init:{self.id}")
        try:
            await player.pause(HOOKS)
        except asyncio.CancelledError:
            self.lives = False
            player.log.append(f"{{ended,{self.id},{self.start}}}")
            raise
        outcome = self.plan[self.start - 1] if self.start <= len(self.plan) else "ok"
        self.lives = outcome == "ok"
        player.note(f"{'start' if self.lives else outcome}:{self.id}")
        if outcome == "fail":
            raise Planned
        if outcome == "ignore":
            raise IgnoreStart

    async def on_stop(self, reason: Any) -> None:
        if reason is not StopReason.KILLED:  # OTP's processes do nothing any more when they are killed
            self.player.note(f"stop:{self.id}:{word(reason)}")
        try:
            await self.player.pause(HOOKS)
        finally:
            self.lives = False
            self.player.log.append(f"{{ended,{self.id},{self.start}}}")

    async def receive(self, message: Message, ctx: ActorContext) -> None:
        assert isinstance(message, DoOnce)
        if message.start != self.start:
            return
        if message.how == "crash":
            raise Planned
        ctx.stop(reason=StopReason(message.how))
