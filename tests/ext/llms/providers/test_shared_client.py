"""The first call of a provider: what it imports and makes, and on which thread."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.errors import MissingDependencyError
from miniagents.ext.llms import OpenAIAgent
from miniagents.ext.llms.providers.shared_client import SharedClient
from miniagents.testing import FakeProvider

# Runs in a process of its own, since the SDKs of this one are imported already.
FIRST_CALL = """
import asyncio, json, ssl, sys, threading

on_the_loop = []

class Watch:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            on_the_loop.append(name)
        return None

make_context = ssl.create_default_context

def watched_context(*args, **kwargs):
    if threading.current_thread() is threading.main_thread():
        on_the_loop.append("a TLS context")
    return make_context(*args, **kwargs)

ssl.create_default_context = watched_context

from miniagents import MiniAgents
from miniagents.ext.llms import AnthropicAgent, OpenAIAgent

async def main(kind, url):
    agent = {
        "chat": OpenAIAgent.fork(model="gpt-5-mini"),
        "responses": OpenAIAgent.fork(model="gpt-5-mini", api="responses"),
        "anthropic": AnthropicAgent.fork(model="claude-haiku-4-5"),
    }[kind].fork(base_url=url, api_key="a-key")
    async with MiniAgents():
        sys.meta_path.insert(0, Watch())
        replies = [str(reply) for reply in await asyncio.gather(*(agent.inquire("Hi") for _ in range(20)))]
        sys.meta_path.pop(0)
    print(json.dumps({"replies": replies, "on the loop": on_the_loop}))

asyncio.run(main(*sys.argv[1:]))
"""

SMALL = frozenset({"_strptime", "encodings.idna", "stringprep"})
"""Modules of the standard library that a first request needs, and that take no time."""


@pytest.mark.parametrize("kind", ["chat", "responses", "anthropic"])
def test_the_first_calls_of_a_provider_import_and_make_nothing_on_the_loop(
    kind: str, fake_provider: FakeProvider
) -> None:
    fake_provider.reset("ok")
    url = fake_provider.url if kind == "anthropic" else fake_provider.openai_url

    ran = subprocess.run(
        [sys.executable, "-c", FIRST_CALL, kind, url],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["replies"] == ["ok"] * 20
    assert set(seen["on the loop"]) - SMALL == set()


class Resource:
    with_streaming_response = None


class Client:
    def __init__(self) -> None:
        self.made_in = threading.current_thread()
        self.resource = Resource()
        self.is_closed = False

    async def close(self) -> None:
        self.is_closed = True


async def test_a_shared_client_is_made_once_and_in_a_thread() -> None:
    made: list[Client] = []

    def make() -> Client:
        made.append(Client())
        return made[-1]

    shared = SharedClient(make, "openai")
    clients = await asyncio.gather(*(shared.ready("resource") for _ in range(50)))
    await shared.close()

    assert [client is made[0] for client in clients] == [True] * 50
    assert len(made) == 1
    assert made[0].made_in is not threading.main_thread()
    assert made[0].is_closed


async def test_a_client_that_could_not_be_made_is_tried_again_by_the_next_call() -> None:
    outcomes: list[Any] = [OSError("no certificates"), Client()]

    def make() -> Client:
        outcome = outcomes.pop(0)
        if isinstance(outcome, OSError):
            raise outcome
        client: Client = outcome
        return client

    shared = SharedClient(make, "openai")
    with pytest.raises(OSError, match="no certificates"):
        await shared.ready("resource")

    assert isinstance(await shared.ready("resource"), Client)
    await shared.close()


async def test_a_call_that_is_cancelled_meanwhile_does_not_end_the_making_for_others() -> None:
    may_end = threading.Event()

    def make() -> Client:
        may_end.wait(10)
        return Client()

    shared = SharedClient(make, "openai")
    first, second = (asyncio.ensure_future(shared.ready("resource")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    may_end.set()

    assert isinstance(await second, Client)
    assert first.cancelled()
    await shared.close()


async def test_closing_waits_for_a_client_that_is_being_made() -> None:
    may_end, client = threading.Event(), Client()

    def make() -> Client:
        may_end.wait(10)
        return client

    shared = SharedClient(make, "openai")
    call = asyncio.ensure_future(shared.ready("resource"))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(shared.close())
    await asyncio.sleep(0)
    assert not closing.done()
    may_end.set()
    await closing

    assert client.is_closed
    assert await call is client


async def test_each_call_says_that_the_sdk_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    agent = OpenAIAgent.fork(model="gpt-5-mini", api_key="a-key")
    async with MiniAgents():
        for _ in range(2):
            with pytest.raises(MissingDependencyError, match=r"pip install 'miniagents\[openai\]'"):
                await agent.inquire("Hi")
