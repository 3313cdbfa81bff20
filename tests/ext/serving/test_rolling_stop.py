"""A rolling stop under load: instances are stopped one after the other, and no accepted request is lost."""

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[3]
TOKENS = 20
WHOLE = "".join(f"{number} " for number in range(TOKENS))

SERVICE = f"""
    import asyncio
    from miniagents import TextMessage, TextToken, miniagent
    from miniagents.ext.serving import agent_app

    @miniagent
    async def counter(ctx):
        pause = float(str(await ctx.message_promises))
        async def tokens(_):
            for number in range({TOKENS}):
                await asyncio.sleep(pause)
                yield TextToken(f"{{number}} ")
        ctx.reply(TextMessage.promise(message_token_streamer=tokens))

    app = agent_app(counter, auth="a-token", admin_auth=None, grace=30.0)
"""


class Instance:
    """A process that serves the agent.

    Attributes:
        url: Where.
        process: The process.
        client: OpenAI's SDK, for it.
        served: How many whole answers it has given.
    """

    def __init__(self, url: str, process: asyncio.subprocess.Process) -> None:
        self.url = url
        self.process = process
        self.client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="a-token", max_retries=0)
        self.served = 0
        self._answered = asyncio.Event()

    def answered(self) -> None:
        """It has given a whole answer."""
        self.served += 1
        self._answered.set()

    async def has_served(self, count: int) -> None:
        """Wait until it has given so many."""
        while self.served < count:
            self._answered.clear()
            await self._answered.wait()


@asynccontextmanager
async def instance(directory: Path) -> AsyncIterator[Instance]:
    command = ["-m", "miniagents.ext.serving.command", "counting:app", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{directory}"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *command, env=environment, stderr=pipe)
    assert process.stderr is not None
    try:
        while b"running on" not in (line := await process.stderr.readline()):
            assert line, "the process has ended"
        found = Instance(line.split(b"running on ")[1].split()[0].decode(), process)
        draining = asyncio.create_task(process.stderr.read())
        try:
            yield found
        finally:
            await found.client.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await draining


class Balancer:
    """A round-robin client: what an instance does not accept goes to the next one."""

    def __init__(self, *instances: Instance) -> None:
        self.instances = instances
        self.turn = 0
        self.lost: list[BaseException | str] = []
        self.refused = 0

    async def ask(self, pause: float = 0.02) -> None:
        first, self.turn = self.turn, self.turn + 1
        for turn in range(
            first, first + 10
        ):  # its own turns: those of other requests would lead it to the same one again
            one = self.instances[turn % len(self.instances)]
            messages: Any = [{"role": "user", "content": str(pause)}]
            try:
                stream = await one.client.chat.completions.create(model="counter", messages=messages, stream=True)
            except (openai.APIConnectionError, openai.InternalServerError):
                self.refused += 1
                continue
            try:
                text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            except Exception as error:
                self.lost.append(error)
                return
            if text == WHOLE:
                one.answered()
            else:
                self.lost.append(text)
            return
        self.lost.append("nobody took it")


async def test_a_rolling_stop_under_load_loses_no_accepted_request(tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(textwrap.dedent(SERVICE))
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(instance(tmp_path)) for _ in range(2)]
        balancer = Balancer(first, second)
        is_over = asyncio.Event()

        slow = asyncio.create_task(balancer.ask(pause=0.15))  # on the first one, which drains for so long

        async def client() -> None:
            while not is_over.is_set():
                await balancer.ask()

        clients = [asyncio.create_task(client()) for _ in range(30)]
        await first.has_served(30)
        async with httpx2.AsyncClient(trust_env=False) as probe:
            assert (await probe.get(f"{first.url}/readyz")).status_code == 200
            first.process.send_signal(signal.SIGTERM)
            while (ready := await probe.get(f"{first.url}/readyz")).status_code == 200:
                pass
        status = await asyncio.wait_for(first.process.wait(), 30)
        await second.has_served(second.served + 60)  # the other one goes on, for all clients
        is_over.set()
        await asyncio.gather(slow, *clients)
        second.process.send_signal(signal.SIGTERM)
        statuses = [status, await asyncio.wait_for(second.process.wait(), 30)]

    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
    assert balancer.lost == []
    assert balancer.refused > 0
    assert statuses == [0, 0]
