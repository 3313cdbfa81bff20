"""Thespian: `simpleSystemBase` runs every actor in the calling thread; `multiprocTCPBase` gives each its own process.

The simple base runs only inside `tell()` and `ask()` of the system, and runs the whole queue each time. A request "in
flight" exists there only between actors, so the concurrent workloads are driven by an actor.
"""

import socket
from collections.abc import Callable
from typing import Any

from common import AGENTS, MESSAGES, Boom, MemoryProbe, Msg, Tok, Unsupported, clock, main, note, quiet, unsupported
from thespian.actors import Actor, ActorExitRequest, ActorSystem, PoisonMessage

QUIET_LOGS = {"version": 1, "disable_existing_loggers": False, "root": {"level": "CRITICAL", "handlers": []}}


class Counter(Actor):
    seen = total = 0

    def receiveMessage(self, msg: Any, sender: Any) -> None:
        if type(msg) is Msg:
            self.seen += 1
            self.total += msg.n
        elif msg == "report":
            self.send(sender, (self.seen, self.total))


class Echo(Actor):
    def receiveMessage(self, msg: Any, sender: Any) -> None:
        if type(msg) is Msg:
            self.send(sender, msg)


class Fragile(Actor):
    def receiveMessage(self, msg: Any, sender: Any) -> None:
        if type(msg) is Msg:
            raise Boom
        if msg == "alive":
            self.send(sender, "yes")


class Driver(Actor):
    """Sends `wave` requests to its children, `rounds` times, and answers the caller at the end."""

    wave: int
    rounds: int
    caller: Any

    def receiveMessage(self, msg: Any, sender: Any) -> None:
        if type(msg) is Msg:
            self.got += 1
            if self.got == self.wave:
                self.rounds -= 1
                if self.rounds:
                    self.go()
                else:
                    self.send(self.caller, "done")
        elif isinstance(msg, tuple) and msg[0] == "make":
            self.kids = [self.createActor(Echo) for _ in range(msg[1])]
            self.send(sender, "made")
        elif isinstance(msg, tuple):
            self.caller, (_, self.wave, self.rounds) = sender, msg
            self.go()

    def go(self) -> None:
        self.got = 0
        kids = self.kids
        k = len(kids)
        for i in range(self.wave):
            self.send(kids[i % k], Msg(i))


class Hop(Actor):
    next: Any
    caller: Any

    def receiveMessage(self, msg: Any, sender: Any) -> None:
        if type(msg) is Msg:
            if msg.n:
                self.send(self.next, Msg(msg.n - 1))
            else:
                self.send(self.caller, "done")
        elif isinstance(msg, tuple):
            self.next, self.caller = msg[0], sender
            self.send(sender, "linked")


class Consumer(Actor):
    parts: list[str]
    want: int
    caller: Any

    def receiveMessage(self, msg: Any, sender: Any) -> None:
        if type(msg) is Tok:
            self.parts.append(msg.text)
            if len(self.parts) == self.want:
                self.send(self.caller, "".join(self.parts))
        elif type(msg) is Msg:
            self.parts, self.want, self.caller = [], msg.n, sender
            self.send(sender, "ready")


class Relay(Actor):
    to: Any

    def receiveMessage(self, msg: Any, sender: Any) -> None:
        if type(msg) is Tok:
            self.send(self.to, msg)
        elif isinstance(msg, tuple):
            self.to = msg[0]
            self.send(sender, "linked")


class Recovering(Actor):
    def receiveMessage(self, msg: Any, sender: Any) -> None:
        if type(msg) is Msg:
            if msg.n:
                raise Boom
            self.send(sender, msg)


class Producer(Actor):
    def receiveMessage(self, msg: Any, sender: Any) -> None:
        if isinstance(msg, tuple):
            to, n = msg
            for _ in range(n):
                self.send(to, Tok("tok "))


def free_port() -> Any:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def on_system(fn: Any) -> Callable[..., Any]:
    """A fresh actor system for every repeat, of the kind the variant names."""

    def for_variant(variant: Any) -> Callable[..., Any]:
        base = {"simple": "simpleSystemBase", "multiprocTCP": "multiprocTCPBase"}[variant]

        def run(n: int) -> Any:
            caps = {"Admin Port": free_port()} if variant == "multiprocTCP" else None
            asys = ActorSystem(base, capabilities=caps, logDefs=QUIET_LOGS)
            try:
                return fn(asys, n)
            finally:
                asys.shutdown()

        if hasattr(fn, "note"):
            run.note = fn.note  # type: ignore[attr-defined]
        return run

    return for_variant


@note("external tell(): in the simple base each one runs to its end before it returns")
def tell(asys: Any, n: int) -> tuple[Any, int]:
    a = asys.createActor(Counter)
    t = clock()
    for i in range(n):
        asys.tell(a, Msg(i))
    seen, total = asys.ask(a, "report")
    t = clock() - t
    assert seen == n and total == n * (n - 1) // 2
    return t, n


def ask(asys: Any, n: int) -> tuple[Any, int]:
    a = asys.createActor(Echo)
    asys.ask(a, Msg(0))
    t = clock()
    for i in range(n):
        assert asys.ask(a, Msg(i)).n == i
    t = clock() - t
    return t, n


def waves(actors_n: int, wave: int) -> Callable[..., Any]:
    def run(asys: Any, n: int) -> tuple[Any, int]:
        rounds = max(1, n // wave)
        driver = asys.createActor(Driver)
        assert asys.ask(driver, ("make", actors_n)) == "made"
        t = clock()
        assert asys.ask(driver, ("go", wave, rounds)) == "done"
        t = clock() - t
        return t, rounds * wave

    return run


def spawn(asys: Any, n: int) -> tuple[Any, int]:
    t = clock()
    made = [asys.createActor(Echo) for _ in range(n)]
    t = clock() - t
    for a in made:
        asys.tell(a, ActorExitRequest())
    return t, n


@note("an ActorExitRequest for each: in the simple base it has ended when tell() returns")
def stop(asys: Any, n: int) -> tuple[Any, int]:
    made = [asys.createActor(Echo) for _ in range(n)]
    t = clock()
    for a in made:
        asys.tell(a, ActorExitRequest())
    t = clock() - t
    return t, n


def memory(variant: Any) -> Any:
    if variant != "simple":
        return lambda n: _no_memory()

    def run(n: int) -> Any:
        asys = ActorSystem("simpleSystemBase", logDefs=QUIET_LOGS)
        keep = [asys.createActor(Echo) for _ in range(100)]
        with MemoryProbe() as m:
            made = [asys.createActor(Echo) for _ in range(n)]
        del keep, made
        return m.per(n)

    return run


def _no_memory() -> None:
    raise Unsupported("a process per actor: RSS of this process says nothing")


def ring(asys: Any, n: int) -> tuple[Any, int]:
    hops = [asys.createActor(Hop) for _ in range(1000)]
    for i, h in enumerate(hops):
        assert asys.ask(h, (hops[(i + 1) % 1000],)) == "linked"
    t = clock()
    assert asys.ask(hops[0], Msg(n)) == "done"
    t = clock() - t
    return t, n


def stream(relays: int = 0) -> Callable[..., Any]:
    def run(asys: Any, n: int) -> tuple[Any, int]:
        last = asys.createActor(Consumer)
        assert asys.ask(last, Msg(n)) == "ready"
        for _ in range(relays):
            relay = asys.createActor(Relay)
            assert asys.ask(relay, (last,)) == "linked"
            last = relay
        producer = asys.createActor(Producer)
        t = clock()
        text = asys.ask(producer, (last, n))
        t = clock() - t
        assert len(text) == 4 * n
        return t, n

    return run


@note("continues: the same instance answers, after the handler was tried three times; logging off")
def recovery(asys: Any, n: int) -> tuple[Any, int]:
    quiet()
    a = asys.createActor(Recovering)
    t = clock()
    for _ in range(n):
        asys.tell(a, Msg(1))
        while not isinstance(got := asys.ask(a, Msg(0)), Msg):
            assert isinstance(got, PoisonMessage)  # of the message before: it went to the same address
    t = clock() - t
    return t, n


@note("continues: the handler is tried three times per message on the same instance, then the sender gets a "
      "PoisonMessage; counted per message, so three raises each; logging off")  # fmt: skip
def crash(asys: Any, n: int) -> tuple[Any, int]:
    quiet()
    a = asys.createActor(Fragile)
    t = clock()
    for i in range(n):
        assert isinstance(asys.ask(a, Msg(i)), PoisonMessage)
    t = clock() - t
    assert asys.ask(a, "alive") == "yes"
    return t, n


DEFAULTS = dict(
    tell=200_000, ask=30_000, ask_concurrent=50_000, ring=100_000, fanout=30_000, spawn=10_000, stop=10_000,
    stream=100_000, stream3=50_000, crash=2_000, recovery=2_000, spawn_mem=100_000,
)  # fmt: skip

if __name__ == "__main__":
    main(
        "thespian",
        "thespian",
        dict(
            tell=on_system(tell), ask=on_system(ask), ask_concurrent=on_system(waves(100, 1000)),
            ring=on_system(ring), fanout=on_system(waves(1000, 1000)), spawn=on_system(spawn), stop=on_system(stop),
            stream=on_system(stream()), stream3=on_system(stream(relays=2)), crash=on_system(crash),
            recovery=on_system(recovery), spawn_mem=memory,
            **unsupported("no event loop to yield to, see stream", "stream_live", "stream3_live"),
            **unsupported("no agents: actors only send messages, see ask", *AGENTS),
            **unsupported("no messages of its own: any object goes", *MESSAGES),
        ),
        DEFAULTS,
        loops=(),
        variants=("simple", "multiprocTCP"),
    )  # fmt: skip
