"""What type checkers see of actors: references, typed asks, and the arguments of constructors."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Mapping, Sequence
from typing import Any, assert_type

from miniagents import (
    Actor,
    ActorContext,
    ActorRef,
    ActorStoppedError,
    Caller,
    ChildSpec,
    DataMessage,
    Message,
    MiniAgents,
    Request,
    Restart,
    Routing,
    SpawnOptions,
    Supervisor,
    SupervisorRef,
    TextMessage,
    __version__,
)


class Total(Message):
    value: int


class Read(Request[Total]):
    pass


class Plain(Message):
    pass


class Order(Message):
    tags: Sequence[str] = ()
    prices: Mapping[str, float] = {}


class Counter(Actor):
    def __init__(self, start: int = 0) -> None:
        self.total = start


class Shelf(Actor):
    def __init__(self, label: str) -> None:
        self.label = label


class Bare(Actor):
    pass


async def asks(ref: ActorRef) -> None:
    assert_type(await ref.ask(Read()), Total)
    assert_type(await ref.ask(Plain()), Any)


def spawns(system: MiniAgents, ctx: ActorContext) -> None:
    plain, named, positional = system.spawn(Counter), system.spawn(Counter, start=3), ctx.spawn(Counter, 3)
    assert_type((plain, named, positional), tuple[ActorRef, ActorRef, ActorRef])
    assert_type(ctx.spawn(Shelf, name="shelf", label="A"), ActorRef)
    assert_type(ctx.spawn(Shelf, options=SpawnOptions(handler_timeout=1.0), label="A"), ActorRef)
    assert_type(ctx.spawn(Shelf, kwargs={"label": "A"}), ActorRef)
    system.spawn(Counter, start="x")  # type: ignore[call-overload]
    system.spawn(Counter, strat=3)  # type: ignore[call-overload]
    system.spawn(Shelf)  # type: ignore[call-overload]
    system.spawn(Bare, 3)  # type: ignore[call-overload]
    system.spawn(Total)  # type: ignore[call-overload]
    system.spawn(Counter, name=3)  # type: ignore[call-overload]


async def pools(system: MiniAgents) -> None:
    assert_type(await system.pool(Counter, size=2, restart=Restart.TEMPORARY), SupervisorRef)
    await system.pool(Counter, size=2, routing=Routing.LEAST_LOADED, kwargs={"start": 1})
    await system.pool(Counter, size=2, sise=2)  # type: ignore[call-overload]
    await system.pool(Counter, size="2")  # type: ignore[call-overload]


async def supervisors(system: MiniAgents) -> None:
    inner = Supervisor("inner", children=[ChildSpec("counter", Counter, kwargs={"start": 1})])
    children = [ChildSpec("bare", Bare, options=SpawnOptions()), ChildSpec("inner", inner)]
    assert_type(await system.supervise(Supervisor("top", children=children)), SupervisorRef)
    ChildSpec("total", 3)  # type: ignore[arg-type]
    ChildSpec("counter", Counter, options={"handler_timeout": 1.0})  # type: ignore[arg-type]
    Supervisor("top", children=[Counter])  # type: ignore[list-item]


def lookups(system: MiniAgents) -> None:
    assert_type(system.lookup("/counter"), ActorRef | None)
    system.lookup("/counter").tell(Plain())  # type: ignore[union-attr]


def dicts_and_lists() -> None:
    DataMessage({"a": 1, "b": [object()], 3: {"c": None}})
    TextMessage("x", metadata={"a": 1})
    Order(tags=["new"], prices={"tea": 2.5})
    Caller("ann", {"groups": ["staff"]})
    assert_type(TextMessage("x").text, str)
    version: str = __version__
    del version
    assert_type(ActorStoppedError().path, str)
