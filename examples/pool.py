"""A supervised pool: equal actors behind one reference. One of them crashes, and the others continue."""

import logging
from collections import Counter

import structlog

from miniagents import Actor, ActorContext, ActorSystem, Message, Routing, TextMessage, gather


class Job(Message):
    number: int


class Worker(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        match message:
            case Job(7):
                raise RuntimeError("7 is too much for me")
            case Job():
                return TextMessage(ctx.self.name)
            case _:
                return ctx.unhandled(message)


async def main() -> None:
    system = ActorSystem.get_current()
    pool = await system.pool(Worker, size=3, routing=Routing.ROUND_ROBIN, name="workers")
    results = await gather(*(pool.ask(Job(number=number), timeout=5.0) for number in range(12)), return_exceptions=True)
    done = Counter(str(result) for result in results if not isinstance(result, BaseException))
    print("jobs done by each worker:", dict(sorted(done.items())))
    print("failed:", *(repr(result) for result in results if isinstance(result, BaseException)))
    print("restarts:", sum(worker.restarts for worker in system.tree("/workers").children))


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    ActorSystem().run(main())
