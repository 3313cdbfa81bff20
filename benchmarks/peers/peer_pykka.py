"""Pykka: one thread per actor, a `queue.Queue` for a mailbox.

`on_receive` with plain messages rather than proxies: fewer layers. On one core, as all peers: a hand-over between
threads of one interpreter is about four times cheaper there than across cores.
"""

import threading
from collections.abc import Callable
from typing import Any

import pykka
from common import AGENTS, MESSAGES, Boom, MemoryProbe, Msg, Tok, Unsupported, clock, main, note, unsupported


class Base(pykka.ThreadingActor):
    use_daemon_thread = True


class Counter(Base):
    def __init__(self, want: int, done: Any) -> None:
        super().__init__()
        self.want, self.done, self.seen, self.total = want, done, 0, 0

    def on_receive(self, msg: Any) -> None:
        self.total += msg.n
        self.seen += 1
        if self.seen == self.want:
            self.done.append(self.total)
            self.done.event.set()


class Done(list[Any]):
    def __init__(self) -> None:
        self.event = threading.Event()


class Echo(Base):
    def on_receive(self, msg: Any) -> Any:
        return msg


class Fragile(Base):
    def on_receive(self, msg: Any) -> None:
        raise Boom


class Hop(Base):
    def __init__(self, done: Any) -> None:
        super().__init__()
        self.next: Any = None
        self.done = done

    def on_receive(self, msg: Any) -> None:
        if isinstance(msg, pykka.ActorRef):
            self.next = msg
        elif msg.n:
            self.next.tell(Msg(msg.n - 1))
        else:
            self.done.event.set()


class Consumer(Base):
    def __init__(self, want: int, done: Any) -> None:
        super().__init__()
        self.want, self.done = want, done
        self.parts: list[str] = []

    def on_receive(self, tok: Any) -> None:
        self.parts.append(tok.text)
        if len(self.parts) == self.want:
            self.done.append("".join(self.parts))
            self.done.event.set()


class Relay(Base):
    def __init__(self, to: Any) -> None:
        super().__init__()
        self.to = to

    def on_receive(self, tok: Any) -> None:
        self.to.tell(tok)


class Producer(Base):
    def __init__(self, to: Any) -> None:
        super().__init__()
        self.to = to

    def on_receive(self, msg: Any) -> None:
        for _ in range(msg.n):
            self.to.tell(Tok("tok "))


def stop_all(refs: Any) -> None:
    pykka.get_all([r.ask(pykka.messages._ActorStop(), block=False) for r in refs])


def tell(n: int) -> tuple[Any, int]:
    done = Done()
    ref = Counter.start(n, done)
    t = clock()
    for i in range(n):
        ref.tell(Msg(i))
    done.event.wait()
    t = clock() - t
    assert done[0] == n * (n - 1) // 2
    stop_all([ref])
    return t, n


def ask(n: int) -> tuple[Any, int]:
    ref = Echo.start()
    t = clock()
    for i in range(n):
        assert ref.ask(Msg(i)).n == i
    t = clock() - t
    stop_all([ref])
    return t, n


def waves(actors_n: int, wave: int) -> Callable[..., Any]:
    def run(n: int) -> tuple[Any, int]:
        refs = [Echo.start() for _ in range(actors_n)]
        rounds = max(1, n // wave)
        t = clock()
        for _ in range(rounds):
            got = pykka.get_all([refs[i % actors_n].ask(Msg(i), block=False) for i in range(wave)])
            assert len(got) == wave
        t = clock() - t
        stop_all(refs)
        return t, rounds * wave

    return run


def spawn(n: int) -> tuple[Any, int]:
    t = clock()
    refs = [Echo.start() for _ in range(n)]
    t = clock() - t
    stop_all(refs)
    return t, n


@note("all at once, as ActorRegistry.stop_all; a thread ends with each")
def stop(n: int) -> tuple[Any, int]:
    refs = [Echo.start() for _ in range(n)]
    t = clock()
    stop_all(refs)
    for ref in refs:
        ref.actor_stopped.wait()
    t = clock() - t
    return t, n


@note("at 10,000: a thread per actor, of which the system takes about 22,000")
def memory(n: int) -> Any:
    if n > 20_000:  # not tried: it would take every thread the machine has from everybody else
        raise Unsupported("one thread per actor: the system refuses new threads at about 22,000 actors "
                          "(two memory maps each, vm.max_map_count and pid_max)")  # fmt: skip
    stop_all([Echo.start() for _ in range(50)])
    refs = []
    try:
        with MemoryProbe() as m:
            for _ in range(n):
                refs.append(Echo.start())
    except RuntimeError as e:
        raise Unsupported(f"one thread per actor: {e} after {len(refs)} actors") from None
    return m.per(n)


def ring(n: int) -> tuple[Any, int]:
    done = Done()
    refs = [Hop.start(done) for _ in range(1000)]
    for i, r in enumerate(refs):
        r.tell(refs[(i + 1) % 1000])
    t = clock()
    refs[0].tell(Msg(n))
    done.event.wait()
    t = clock() - t
    stop_all(refs)
    return t, n


def stream(relays: int = 0) -> Callable[..., Any]:
    def run(n: int) -> tuple[Any, int]:
        done = Done()
        chain = [Consumer.start(n, done)]
        for _ in range(relays):
            chain.append(Relay.start(chain[-1]))
        chain.append(Producer.start(chain[-1]))
        t = clock()
        chain[-1].tell(Msg(n))
        done.event.wait()
        t = clock() - t
        assert len(done[0]) == 4 * n
        stop_all(chain)
        return t, n

    return run


@note("continues: an exception in `ask` goes to the caller and the same instance goes on; in `tell` the actor stops "
      "for good, nothing restarts it")  # fmt: skip
def crash(n: int) -> tuple[Any, int]:
    ref = Fragile.start()
    t = clock()
    for i in range(n):
        try:
            ref.ask(Msg(i))
        except Boom:
            pass
    t = clock() - t
    assert ref.is_alive()
    stop_all([ref])
    return t, n


DEFAULTS = dict(
    tell=200_000, ask=10_000, ask_concurrent=20_000, ring=50_000, fanout=20_000, spawn=1_000, stop=1_000,
    stream=100_000, stream3=50_000, crash=10_000, spawn_mem=10_000,
)  # fmt: skip

if __name__ == "__main__":
    main(
        "pykka",
        "pykka",
        dict(
            tell=tell, ask=ask, ask_concurrent=waves(100, 1000), ring=ring, fanout=waves(1000, 1000), spawn=spawn,
            stop=stop, stream=stream(), stream3=stream(relays=2), crash=crash, spawn_mem=memory,
            **unsupported("no event loop to yield to, see stream", "stream_live", "stream3_live"),
            **unsupported("an actor that fails in a tell ends for good, and nothing restarts it", "recovery"),
            **unsupported("no agents: an actor answers with one value, see ask", *AGENTS),
            **unsupported("no messages of its own: any object goes", *MESSAGES),
        ),
        DEFAULTS,
        loops=(),
    )  # fmt: skip
