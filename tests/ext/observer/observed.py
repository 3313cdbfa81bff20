"""Systems that are observed without a server, and clients of the page without a network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from miniagents import MiniAgents
from miniagents.ext.observer import WebObserver

ORIGIN = {"origin": "http://localhost"}


@asynccontextmanager
async def observed(**options: Any) -> AsyncIterator[tuple[MiniAgents, WebObserver]]:
    """A system with an observer that has no server of its own."""
    observer = WebObserver(opens=False, **options)
    async with MiniAgents(observers=[observer]) as system:
        yield system, observer


@asynccontextmanager
async def page_of(observer: WebObserver, *, enters: bool = True) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the page, which has a session."""
    transport = httpx2.ASGITransport(app=observer.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        if enters:
            token = observer.new_token()
            answer = await client.get("/", params={"token": token})
            assert answer.status_code == 200
        yield client


async def act(client: httpx2.AsyncClient, observer: WebObserver, kind: str, **asked: Any) -> tuple[int, dict[str, Any]]:
    """What the page is answered to an action."""
    body = {"kind": kind, "boot": observer.app.boot, **asked}
    answer = await client.post("/actions", json=body, headers=ORIGIN)
    said: dict[str, Any] = answer.json()
    return answer.status_code, said
