"""Three hand-written actors: the limits of asyncio itself. All of them stand in one module, because a peer is one script.

deque  one task per actor, a deque for a mailbox, a future to wake it: the honest limit of a task per actor.
drain  no task while idle: `call_soon` drains the mailbox and steps the handler's coroutine by hand, and a task is made
       only when a handler really suspends. The limit for idle actors and for hops (no task to wake); in long bursts
       `await` is cheaper than `send(None)` with its StopIteration. `asyncio.current_task()` is None in a handler that
       has not suspended yet.
queue  one task per actor around an `asyncio.Queue`, as most people would write it.
"""

import asyncio
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from common import AGENTS, MESSAGES, Boom, MemoryProbe, Msg, Tok, Unsupported, clock, main, note, unsupported


class DequeActor:
    __slots__ = ("box", "loop", "me", "task", "wake")

    def __init__(self, behaviour: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.box: deque[Any] = deque()
        self.wake: asyncio.Future[None] | None = None
        self.me = behaviour
        self.task = self.loop.create_task(self._run())

    def tell(self, msg: Any) -> None:
        self.box.append((msg, None))
        if self.wake is not None:
            self.wake.set_result(None)
            self.wake = None

    def ask(self, msg: Any) -> Any:
        fut = self.loop.create_future()
        self.box.append((msg, fut))
        if self.wake is not None:
            self.wake.set_result(None)
            self.wake = None
        return fut

    async def _run(self) -> None:
        box = self.box
        while True:
            while box:
                msg, fut = box.popleft()
                try:
                    result = await self.me.on(msg)
                except Exception as e:
                    self.me = self.me.again()  # restart: a fresh behaviour, the mailbox kept
                    if fut is not None:
                        fut.set_exception(e)
                else:
                    if fut is not None and not fut.done():
                        fut.set_result(result)
            self.wake = self.loop.create_future()
            await self.wake

    def stop(self) -> None:
        self.task.cancel()


@types.coroutine
def _resume(coro: Any, yielded: Any) -> Iterator[Any]:
    """Continue, inside a task, with a coroutine whose first step ran outside of a task."""
    while True:
        try:
            sent = yield yielded
        except BaseException as e:
            yielded = coro.throw(e)
        else:
            try:
                yielded = coro.send(sent)
            except StopIteration as e:
                return e.value


async def _resumed(coro: Any, yielded: Any) -> Any:
    return await _resume(coro, yielded)  # from Python 3.12 on, a task takes no coroutine that is a generator


class DrainActor:
    __slots__ = ("box", "busy", "loop", "me")

    def __init__(self, behaviour: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.box: deque[Any] = deque()
        self.busy = False
        self.me = behaviour

    def tell(self, msg: Any) -> None:
        self.box.append((msg, None))
        if not self.busy:
            self.busy = True
            self.loop.call_soon(self._drain)

    def ask(self, msg: Any) -> Any:
        fut = self.loop.create_future()
        self.box.append((msg, fut))
        if not self.busy:
            self.busy = True
            self.loop.call_soon(self._drain)
        return fut

    def _drain(self) -> None:
        box = self.box
        while box:
            msg, fut = box.popleft()
            coro = self.me.on(msg)
            try:
                yielded = coro.send(None)
            except StopIteration as e:
                if fut is not None and not fut.done():
                    fut.set_result(e.value)
            except Exception as e:
                self.me = self.me.again()
                if fut is not None:
                    fut.set_exception(e)
            else:  # the handler suspends: finish it in a task, then drain on
                task = self.loop.create_task(_resumed(coro, yielded))
                task.add_done_callback(lambda t: self._settle(t, fut))
                return
        self.busy = False

    def _settle(self, task: Any, fut: Any) -> None:
        if task.cancelled() or task.exception():
            self.me = self.me.again()
            if fut is not None:
                fut.set_exception(asyncio.CancelledError() if task.cancelled() else task.exception())
        elif fut is not None and not fut.done():
            fut.set_result(task.result())
        self._drain()

    def stop(self) -> None:
        pass


class QueueActor:
    def __init__(self, behaviour: Any) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.me = behaviour
        self.task = asyncio.create_task(self._run())

    def tell(self, msg: Any) -> None:
        self.queue.put_nowait((msg, None))

    def ask(self, msg: Any) -> Any:
        fut = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((msg, fut))
        return fut

    async def _run(self) -> None:
        while True:
            msg, fut = await self.queue.get()
            try:
                result = await self.me.on(msg)
            except Exception as e:
                self.me = self.me.again()
                if fut is not None:
                    fut.set_exception(e)
            else:
                if fut is not None and not fut.done():
                    fut.set_result(result)

    def stop(self) -> None:
        self.task.cancel()


KINDS: dict[str, type[Any]] = {"deque": DequeActor, "drain": DrainActor, "queue": QueueActor}


class Counter:
    def __init__(self, want: int, done: Any) -> None:
        self.want, self.done, self.seen, self.total = want, done, 0, 0

    async def on(self, msg: Any) -> None:
        self.total += msg.n
        self.seen += 1
        if self.seen == self.want:
            self.done.set_result(None)


class Echo:
    async def on(self, msg: Any) -> Any:
        return msg

    def again(self) -> Any:
        return Echo()


class Fragile(Echo):
    async def on(self, msg: Any) -> None:
        raise Boom

    def again(self) -> Any:
        return Fragile()


class Recovering(Echo):
    async def on(self, msg: Any) -> Any:
        if msg.n:
            raise Boom
        return msg

    def again(self) -> Any:
        return Recovering()


class Hop:
    def __init__(self, done: Any) -> None:
        self.next: Any = None
        self.done = done

    async def on(self, msg: Any) -> None:
        if msg.n:
            self.next.tell(Msg(msg.n - 1))
        else:
            self.done.set_result(None)


class Consumer:
    def __init__(self, want: int, done: Any) -> None:
        self.want, self.done = want, done
        self.parts: list[str] = []

    async def on(self, tok: Any) -> None:
        self.parts.append(tok.text)
        if len(self.parts) == self.want:
            self.done.set_result("".join(self.parts))


class Relay:
    def __init__(self, to: Any) -> None:
        self.to = to

    async def on(self, tok: Any) -> None:
        self.to.tell(tok)


class Producer:
    def __init__(self, to: Any, live: bool) -> None:
        self.to, self.live = to, live

    async def on(self, msg: Any) -> None:
        for _ in range(msg.n):
            self.to.tell(Tok("tok "))
            if self.live:
                await asyncio.sleep(0)


def tell(kind: str) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        done = asyncio.get_running_loop().create_future()
        me = Counter(n, done)
        actor = KINDS[kind](me)
        await asyncio.sleep(0)
        t = clock()
        for i in range(n):
            actor.tell(Msg(i))
        await done
        t = clock() - t
        assert me.total == n * (n - 1) // 2
        actor.stop()
        return t, n

    return run


def ask(kind: str) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        actor = KINDS[kind](Echo())
        await asyncio.sleep(0)
        t = clock()
        for i in range(n):
            assert (await actor.ask(Msg(i))).n == i
        t = clock() - t
        actor.stop()
        return t, n

    return run


def waves(kind: str, actors_n: int, wave: int) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        actors = [KINDS[kind](Echo()) for _ in range(actors_n)]
        await asyncio.sleep(0)
        rounds = max(1, n // wave)
        t = clock()
        for _ in range(rounds):
            got = await asyncio.gather(*[actors[i % actors_n].ask(Msg(i)) for i in range(wave)])
            assert len(got) == wave
        t = clock() - t
        for a in actors:
            a.stop()
        return t, rounds * wave

    run.note = "asyncio.gather, which is half of the time: awaited in turn, as MiniAgents is here, futures cost less"  # type: ignore[attr-defined]
    return run


def gathered(kind: str) -> Callable[..., Any]:
    run = waves(kind, 10, 1000)
    run.note = "asyncio.gather over the futures"  # type: ignore[attr-defined]
    return run


def spawn(kind: str) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        t = clock()
        actors = [KINDS[kind](Echo()) for _ in range(n)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        t = clock() - t
        for a in actors:
            a.stop()
        await asyncio.sleep(0)
        return t, n

    return run


def stop(kind: str) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        if kind == "drain":
            raise Unsupported("an idle actor has no task: there is nothing to stop")
        actors = [KINDS[kind](Echo()) for _ in range(n)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        t = clock()
        for a in actors:
            a.stop()
        for a in actors:
            try:
                await a.task
            except asyncio.CancelledError:
                pass
        t = clock() - t
        return t, n

    return run


def memory(kind: str) -> Callable[..., Any]:
    async def run(n: int) -> Any:
        warm = [KINDS[kind](Echo()) for _ in range(100)]
        await asyncio.sleep(0.01)
        with MemoryProbe() as m:
            actors = [KINDS[kind](Echo()) for _ in range(n)]
            await asyncio.sleep(0.01)
        for a in actors + warm:
            a.stop()
        return m.per(n)

    return run


def ring(kind: str) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        done = asyncio.get_running_loop().create_future()
        hops = [Hop(done) for _ in range(1000)]
        actors = [KINDS[kind](h) for h in hops]
        for i, h in enumerate(hops):
            h.next = actors[(i + 1) % 1000]
        await asyncio.sleep(0)
        t = clock()
        actors[0].tell(Msg(n))
        await done
        t = clock() - t
        for a in actors:
            a.stop()
        return t, n

    return run


def stream(kind: str, live: bool = False, relays: int = 0) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        done = asyncio.get_running_loop().create_future()
        consumer = last = KINDS[kind](Consumer(n, done))
        passing = []
        for _ in range(relays):
            last = KINDS[kind](Relay(last))
            passing.append(last)
        producer = KINDS[kind](Producer(last, live))
        await asyncio.sleep(0)
        t = clock()
        producer.tell(Msg(n))
        text = await done
        t = clock() - t
        assert len(text) == 4 * n
        for a in (consumer, producer, *passing):
            a.stop()
        return t, n

    return run


def recovery(kind: str) -> Callable[..., Any]:
    @note("restarts: a fresh behaviour, the mailbox kept")
    async def run(n: int) -> tuple[Any, int]:
        actor = KINDS[kind](Recovering())
        await asyncio.sleep(0)
        t = clock()
        for _ in range(n):
            actor.tell(Msg(1))
            assert (await actor.ask(Msg(0))).n == 0
        t = clock() - t
        actor.stop()
        return t, n

    return run


def crash(kind: str) -> Callable[..., Any]:
    async def run(n: int) -> tuple[Any, int]:
        actor = KINDS[kind](Fragile())
        await asyncio.sleep(0)
        t = clock()
        for i in range(n):
            try:
                await actor.ask(Msg(i))
            except Boom:
                pass
        t = clock() - t
        actor.stop()
        return t, n

    return run


DEFAULTS = dict(
    tell=200_000, ask=100_000, ask_concurrent=200_000, gather=200_000, ring=100_000, fanout=100_000, spawn=20_000, stop=100_000,
    stream=100_000, stream_live=100_000, stream3=100_000, stream3_live=100_000, crash=50_000, recovery=20_000,
    spawn_mem=100_000,
)  # fmt: skip

if __name__ == "__main__":
    main(
        "raw",
        None,
        dict(
            tell=tell, ask=ask, ask_concurrent=lambda k: waves(k, 100, 1000),
            gather=gathered, ring=ring,
            fanout=lambda k: waves(k, 1000, 1000), spawn=spawn, stop=stop,
            stream=stream, stream_live=lambda k: stream(k, live=True),
            stream3=lambda k: stream(k, relays=2), stream3_live=lambda k: stream(k, live=True, relays=2),
            crash=crash, recovery=recovery, spawn_mem=memory,
            **unsupported("no agents, see ask", *AGENTS),
            **unsupported("no messages of its own, see msgspec", *MESSAGES),
        ),
        DEFAULTS,
        variants=("deque", "drain", "queue"),
    )  # fmt: skip
