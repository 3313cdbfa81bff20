"""How long the first call of a provider holds the event loop: `python -m benchmarks.first_call`.

A fresh process calls 1 and 500 agents at once, while nothing of the SDK is imported. The provider is a process of its
own. Reported are the time to the first token, and the longest callback of the loop until the last first token, without
the pauses of the garbage collector, which stand beside it.
"""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import threading
import time
from typing import Any

from miniagents import MiniAgent, MiniAgents
from miniagents.ext.llms import AnthropicAgent, OpenAIAgent
from miniagents.testing import FakeProvider

APIS = ("chat", "responses", "anthropic")


class Watch:
    """The longest callback of the running loop and the longest pause of the collector, in seconds of CPU time: on a
    busy machine, the time of other programs is no part of them."""

    def __init__(self) -> None:
        self.callback = self.pause = 0.0
        self._paused = self._began = 0.0
        self._loop_thread = threading.get_ident()
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began, paused = time.thread_time(), self._paused
            run(handle)
            self.callback = max(self.callback, time.thread_time() - began - (self._paused - paused))

        asyncio.Handle._run = timed  # type: ignore[method-assign,assignment]
        gc.callbacks.append(self._collected)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
            return
        pause = time.thread_time() - self._began
        self.pause = max(self.pause, pause)
        if threading.get_ident() == self._loop_thread:
            self._paused += pause


def agent_of(api: str, url: str) -> MiniAgent:
    """Return an agent of an API, with a model at the fake provider."""
    if api == "anthropic":
        return AnthropicAgent.fork(model="claude-haiku-4-5", base_url=url, api_key="a-key")
    agent = OpenAIAgent.fork(model="gpt-5-mini", base_url=f"{url}/v1", api_key="a-key")
    return agent.fork(api="responses") if api == "responses" else agent


async def measure(api: str, agents: int, url: str) -> dict[str, Any]:
    """Call the agents at once; this process must not have imported the SDK."""

    async def first_token() -> float:
        async for promise in agent_of(api, url).inquire("Hi"):
            async for _ in promise:
                return time.perf_counter() - began
        raise RuntimeError("there was no token")

    async with MiniAgents():
        watch, began = Watch(), time.perf_counter()
        first = min(await asyncio.gather(*(first_token() for _ in range(agents))))
        return {"first token": first, "longest callback": watch.callback, "longest collection": watch.pause}


def main() -> None:
    """Measure all APIs in processes of their own, or one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--one", nargs=3, metavar=("API", "AGENTS", "URL"))
    parser.add_argument("--longest", type=int, metavar="AGENTS", help="print the longest callback as JSON")
    parser.add_argument("--serve", action="store_true")
    arguments = parser.parse_args()
    if arguments.one:
        api, agents, url = arguments.one
        print(json.dumps(asyncio.run(measure(api, int(agents), url))))
        return
    if arguments.serve:
        with FakeProvider("a b c d") as provider:
            print(provider.url, flush=True)
            sys.stdin.read()
        return
    this = [sys.executable, "-m", "benchmarks.first_call"]
    with subprocess.Popen([*this, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # it is a pipe
        url = server.stdout.readline().strip()

        def figures(api: str, agents: int) -> dict[str, float]:
            one = [*this, "--one", api, str(agents), url]
            return json.loads(subprocess.run(one, stdout=subprocess.PIPE, text=True, check=True).stdout)  # type: ignore[no-any-return]

        if arguments.longest:
            longest = max(figures(api, arguments.longest)["longest callback"] for api in APIS)
            print(json.dumps({"longest callback": longest}))
        else:
            for api in APIS:
                for agents in (1, 500):
                    shown = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in figures(api, agents).items())
                    print(f"{api}, {agents} at once: {shown}")
        server.communicate("")


if __name__ == "__main__":
    main()
