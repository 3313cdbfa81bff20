"""Random scenarios in which several clients call the same supervisors at once, while children end and are restarted."""

from dataclasses import dataclass
from random import Random
from typing import Any

from tests.supervision.otp.scenario import RESTARTS, STRATEGIES, ChildSup, Sup, Worker

Op = tuple[Any, ...]


@dataclass(frozen=True)
class ClientScenario:
    """A tree, and for each client what it does, one after the other; the order between the clients is free."""

    seed: int
    top: Sup
    clients: tuple[tuple[Op, ...], ...]


class ClientGenerator:
    """Makes the scenario of one seed: small, so that each of its plays can be found on OTP."""

    def __init__(self, seed: int) -> None:
        self.random = Random(f"clients {seed}")
        self.seed = seed
        self.number = 0
        self.sups: list[str] = []
        self.workers: list[str] = []
        self.children: list[tuple[str, str]] = []  # (supervisor, id)

    def scenario(self) -> ClientScenario:
        top = self.sup(self.random.choice((2, 2, 3)), nested=self.random.random() < 0.35)
        clients = self.random.choice((2, 2, 3, 3, 4))
        calls = tuple(tuple(self.op() for _ in range(self.random.randint(1, 3))) for _ in range(clients))
        return ClientScenario(self.seed, top, calls)

    def name(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number}"

    def sup(self, size: int, *, nested: bool) -> Sup:
        random = self.random
        name = self.name("s")
        self.sups.append(name)
        auto = random.choice(("never", "never", "never", "any_significant", "all_significant"))
        place = random.randrange(size) if nested else -1
        children = tuple(self.child(name, auto, nested=n == place) for n in range(size))
        return Sup(name, random.choice(STRATEGIES), random.choice((0, 1, 1, 2, 2, 3)), auto, children)

    def child(self, sup: str, auto: str, *, nested: bool) -> Any:
        random = self.random
        restart = random.choice(RESTARTS)
        significant = auto != "never" and restart != "permanent" and random.random() < 0.6
        if nested:
            inner = self.sup(random.choice((1, 2)), nested=False)
            self.children.append((sup, inner.name))
            return ChildSup(inner.name, restart, significant, inner)
        worker = Worker(self.name("w"), restart, significant, self.plan(), brutal=random.random() < 0.15)
        self.workers.append(worker.id)
        self.children.append((sup, worker.id))
        return worker

    def plan(self) -> tuple[str, ...]:
        if self.random.random() < 0.5:
            return ()
        later = self.random.choices(("ok", "fail", "ignore"), (4, 4, 1), k=self.random.randint(1, 3))
        return ("ok", *later)

    def op(self) -> Op:
        random = self.random
        kinds = ("do", "kill", "stop", "terminate", "restart", "delete", "start", "which", "count", "shutdown")
        kind = random.choices(kinds, (30, 10, 6, 18, 14, 6, 8, 5, 5, 2))[0]
        match kind:
            case "do":
                return ("do", random.choice(self.workers), random.choice(("crash", "crash", "crash", "normal")))
            case "kill" | "stop":
                return (kind, random.choice(self.workers))
            case "terminate" | "restart" | "delete":
                return (kind, *random.choice(self.children))
            case "start":
                sup, worker = random.choice(self.sups), Worker("x", random.choice(RESTARTS), False, ())
                again = [id for owner, id in self.children if owner == sup and id in self.workers]
                if again and random.random() < 0.4:
                    worker = Worker(random.choice(again), random.choice(RESTARTS), False, ())
                return ("start", sup, worker)
            case "shutdown":
                return ("shutdown",)
        return (kind, random.choice(self.sups))
