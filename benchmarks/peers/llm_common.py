"""The workloads of LLM agents, the same for each framework. Only the making and asking of an agent differ.

The model is scripted, through the framework's own interface for models, and costs next to nothing, so that the framework
is measured. Each request lets the loop turn once, as a network would. An agent has instructions, and where it says so one
tool with one int as its argument.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from common import MemoryProbe, clock

REQUESTS = 11
"""The requests of `agent_loop`: ten turns that call the tool, and the last reply."""
QUESTION = "How deep is the lake?"


class Plan:
    """The plan of the scripted model for a number of `requests`: calls of the tool, and the text in the last one.

    With `hold`, the last request is never answered: the model is thinking.
    """

    def __init__(self, requests: int = 1, hold: bool = False) -> None:
        self.requests, self.hold, self.waiting = requests, hold, 0

    def next(self, results: Any) -> Any:
        """The number to call the tool with, the text, or None to hold; `results` of the tool are there already."""
        if results < self.requests - 1:
            return results
        if self.hold:
            self.waiting += 1
            return None
        return "ok"

    async def answer(self, results: Any) -> Any:
        """Return the next step, as a coroutine that waits while the plan holds."""
        await asyncio.sleep(0)
        said = self.next(results)
        if said is None:
            await asyncio.get_running_loop().create_future()
        return said


async def look_up(number: int) -> str:
    """Look up a number."""
    return "42"


def workloads(make: Any, start: Any, text: Any, around: Any = contextlib.nullcontext) -> Any:
    """Return all workloads.

    `make(plan, number, tools)` gives an agent, `start(agent)` an awaitable that runs at once and can be cancelled, and
    `text(result)` the text of what that gave.
    """

    async def model_call(n: int) -> tuple[Any, int]:
        async with around():
            agent = make(Plan(), 0, False)
            t = clock()
            for _ in range(n):
                assert text(await start(agent)) == "ok"
            return clock() - t, n

    async def agent_loop(n: int) -> tuple[Any, int]:
        async with around():
            agent = make(Plan(REQUESTS), 0, True)
            t = clock()
            for _ in range(n):
                assert text(await start(agent)).endswith("ok")
            return clock() - t, n

    async def agent_mem_rest(n: int) -> Any:
        async with around():
            warm = [make(Plan(), -number - 1, True) for number in range(20)]
            for agent in warm:
                await start(agent)
            with MemoryProbe() as m:
                agents = [make(Plan(), number, True) for number in range(n)]
                for agent in agents:
                    await start(agent)
            assert len(agents) == n
            return m.per(n)

    def held(requests: int, one_agent: bool) -> Callable[..., Any]:
        async def run(n: int) -> Any:
            async with around():
                await start(make(Plan(requests), -1, True))
                plan = Plan(requests, hold=True)
                with MemoryProbe() as m:
                    if one_agent:
                        agents = [make(plan, 0, True)] * n
                    else:
                        agents = [make(plan, number, True) for number in range(n)]
                    runs = [start(agent) for agent in agents]
                    while plan.waiting < n:
                        await asyncio.sleep(0.01)
                for one in runs:
                    one.cancel("measured")
                await asyncio.gather(*map(ended, runs))
                return m.per(n)

        return run

    return dict(
        model_call=model_call,
        agent_loop=agent_loop,
        agent_mem_rest=agent_mem_rest,
        agent_mem_call=held(1, one_agent=False),
        loop_mem=held(REQUESTS, one_agent=True),
    )


async def ended(run: Any) -> None:
    """Until it has, however."""
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await run


DEFAULTS = dict(model_call=500, agent_loop=50, agent_mem_rest=500, agent_mem_call=500, loop_mem=200)
