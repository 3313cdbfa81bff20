"""Waiting for a lock while the client is there."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from miniagents.ext.serving.http.disconnect import acquire
from miniagents.ext.serving.http.problems import Problem
from tests.actors.actors import turns


class Client:
    """A client, whose request waits for a lock that somebody else has.

    Attributes:
        lock: The lock.
        has_gone: Set it, and the client has gone.
        noise: What the loop was told of.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.has_gone = asyncio.Event()
        self.noise: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.noise.append(context))

    async def receive(self) -> Any:
        await self.has_gone.wait()
        return {"type": "http.disconnect"}

    async def waits(self, timeout: float | None) -> "asyncio.Task[None]":
        await self.lock.acquire()
        request = Request({"type": "http"}, self.receive)
        waiting = asyncio.create_task(acquire(request, self.lock, timeout))
        await turns()
        return waiting


async def test_a_client_that_goes_away_waits_no_longer() -> None:
    client = Client()
    waiting = await client.waits(None)

    client.has_gone.set()

    with pytest.raises(ClientDisconnect):
        await waiting
    assert client.noise == []


async def test_what_comes_too_late_is_a_504() -> None:
    client = Client()
    waiting = await client.waits(5.0)

    with pytest.raises(Problem) as failed:
        await waiting
    assert failed.value.status == 504


async def test_a_client_that_goes_away_as_its_turn_comes_has_it() -> None:
    client = Client()
    waiting = await client.waits(5.0)

    client.has_gone.set()
    client.lock.release()

    await waiting
    await turns()
    assert client.lock.locked()
    assert client.noise == []


async def test_a_client_that_goes_away_as_its_deadline_passes_makes_no_noise() -> None:
    client = Client()
    waiting = await client.waits(5.0)

    asyncio.get_running_loop().call_at(asyncio.get_running_loop().time() + 5.0, client.has_gone.set)

    with pytest.raises((Problem, ClientDisconnect)):
        await waiting
    await turns()
    assert client.noise == []
