"""Random scenarios: a tree of supervisors and workers, and what is done to it."""

from dataclasses import dataclass
from random import Random
from typing import Any

STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
RESTARTS = ("permanent", "transient", "temporary")


@dataclass(frozen=True)
class Worker:
    """A child that goes through `plan`, one outcome (ok, fail, ignore) for each start; after the last it starts.

    One that is `brutal` is killed by its supervisor, and gets no time to shut down.
    """

    id: str
    restart: str
    significant: bool
    plan: tuple[str, ...]
    brutal: bool = False


@dataclass(frozen=True)
class Sup:
    name: str
    strategy: str
    intensity: int
    auto: str
    children: tuple[Any, ...]


@dataclass(frozen=True)
class ChildSup:
    id: str
    restart: str
    significant: bool
    sup: Sup


@dataclass(frozen=True)
class Scenario:
    seed: int
    top: Sup
    ops: tuple[tuple[Any, ...], ...]


class Generator:
    """Makes the scenario of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.seed = seed
        self.number = 0
        self.workers: list[str] = []
        self.dynamic: list[str] = []
        self.sups: list[Sup] = []
        self.children: list[tuple[str, str]] = []  # (supervisor, id)

    def scenario(self) -> Scenario:
        top = self.sup(0)
        ops = tuple(self.op() for _ in range(self.random.randint(3, 12)))
        return Scenario(self.seed, top, ops)

    def name(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number}"

    def sup(self, depth: int) -> Sup:
        random = self.random
        name = self.name("s")
        simple = random.random() < 0.15
        strategy = "simple_one_for_one" if simple else random.choice(STRATEGIES)
        auto = random.choice(("never", "never", "any_significant", "all_significant"))
        children: tuple[Any, ...]
        if simple:
            children = (Worker(self.name("t"), random.choice(RESTARTS), False, ()),)
        else:
            children = tuple(self.child(name, depth, auto) for _ in range(random.choice((0, 1, 2, 2, 3, 3, 4, 5))))
        sup = Sup(name, strategy, random.choice((0, 1, 1, 2, 3)), auto, children)
        self.sups.append(sup)
        return sup

    def child(self, sup: str, depth: int, auto: str) -> Any:
        random = self.random
        restart = random.choice(RESTARTS)
        significant = auto != "never" and restart != "permanent" and random.random() < 0.5
        if depth < 2 and random.random() < 0.25:
            inner = self.sup(depth + 1)
            self.children.append((sup, inner.name))
            return ChildSup(inner.name, restart, significant, inner)
        worker = Worker(self.name("w"), restart, significant, self.plan())
        self.workers.append(worker.id)
        self.children.append((sup, worker.id))
        return worker

    def plan(self) -> tuple[str, ...]:
        if self.random.random() < 0.6:
            return ()
        starts = self.random.choices(("ok", "fail", "ignore"), (8, 3, 1), k=self.random.randint(1, 4))
        if self.random.random() < 0.9:
            starts[0] = "ok"  # else most trees would not come up at all
        return tuple(starts)

    def op(self) -> tuple[Any, ...]:
        random = self.random
        kind = random.choices(
            ("do", "terminate", "restart", "delete", "start", "count", "simple"), (12, 3, 3, 2, 3, 1, 3)
        )[0]
        simple = [sup for sup in self.sups if sup.strategy == "simple_one_for_one"]
        plain = [sup for sup in self.sups if sup.strategy != "simple_one_for_one"]
        if kind == "do" and self.workers:
            return ("do", random.choice(self.workers), random.choice(("crash", "crash", "crash", "normal", "shutdown")))
        if kind in ("terminate", "restart", "delete") and self.children:
            return (kind, *random.choice(self.children))
        if kind == "start" and plain:
            sup = random.choice(plain)
            if self.children and random.random() < 0.3:
                again = [id for owner, id in self.children if owner == sup.name and id in self.workers]
                if again:
                    return ("start", sup.name, Worker(random.choice(again), random.choice(RESTARTS), False, ()))
            return ("start", sup.name, self.child(sup.name, 2, sup.auto))
        if kind == "simple" and simple:
            sup = random.choice(simple)
            what = random.random()
            if what < 0.6 or not self.dynamic:
                id = self.name("d")
                self.workers.append(id)
                self.dynamic.append(id)
                # A dynamic child that is ignored at a restart makes OTP's own supervisor crash when it ends
                # (function_clause in terminate_dynamic_children, seen with OTP 25): nothing to compare with.
                first, *rest = self.plan() or ("ok",)
                plan = (first, *("ok" if outcome == "ignore" else outcome for outcome in rest))
                return ("start_simple", sup.name, id, plan)
            if what < 0.8:
                return ("terminate_pid", sup.name, random.choice(self.dynamic))
            return (random.choice(("terminate", "restart", "delete")), sup.name, sup.children[0].id)
        return ("count", random.choice(self.sups).name)


def erlang(value: Any) -> str:
    """The scenario, or a part of it, as an Erlang term."""
    match value:
        case Scenario():
            return f"{{{value.seed},{erlang(value.top)},{erlang(list(value.ops))}}}."
        case Sup():
            parts = (value.name, value.strategy, value.intensity, value.auto, list(value.children))
            return f"{{sup,{','.join(map(erlang, parts))}}}"
        case ChildSup():
            return f"{{child_sup,{','.join(map(erlang, (value.id, value.restart, value.significant, value.sup)))}}}"
        case Worker():
            options = (value.id, value.restart, value.significant, list(value.plan), value.brutal)
            return f"{{worker,{','.join(map(erlang, options))}}}"
        case ("start_simple", sup, id, plan):
            return f"{{start_simple,{sup},{id},{erlang(list(plan))}}}"
        case tuple():
            return f"{{{','.join(map(erlang, value))}}}"
        case list():
            return f"[{','.join(map(erlang, value))}]"
        case bool():
            return str(value).lower()
        case _:
            return str(value)
