"""Systems that are observed without a server, clients of the page without a network, and actors to look at."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from miniagents import Actor, InteractionContext, MiniAgents, TextMessage, miniagent
from miniagents.ext.observer import WebObserver

ORIGIN = {"origin": "http://localhost"}


class Learner(Actor):
    """Has no case for a message until it has learnt it."""

    has_learnt = False

    async def receive(self, message: Any, ctx: Any) -> TextMessage | None:
        if str(message) == "learn":
            self.has_learnt = True
        elif not self.has_learnt:
            ctx.unhandled(message)
            return None
        return TextMessage("done")


@miniagent
async def sleeper(ctx: InteractionContext) -> None:
    await asyncio.Event().wait()


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
