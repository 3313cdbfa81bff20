"""Servers for the tests: uvicorn on loopback, in the loop of the test."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import uvicorn

from miniagents.ext.serving import AgentApp

TOKEN = "a-token-for-tests"
ADMIN = "an-admin-token-for-tests"
AUTH = {"authorization": f"Bearer {TOKEN}"}
ADMIN_AUTH = {"authorization": f"Bearer {ADMIN}"}


class Server(uvicorn.Server):
    """Says when it listens, and takes signals without handing them on to the tests when it has ended."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        self.listens.set()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.should_exit = True


@asynccontextmanager
async def served(app: Any, **options: Any) -> AsyncIterator[str]:
    """The address of an app that uvicorn serves on loopback."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = Server(uvicorn.Config(app, log_config=None, log_level="critical", access_log=False, **options))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    listening = asyncio.create_task(server.listens.wait())
    await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    if serving.done():
        serving.result()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def in_process(app: AgentApp, **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an app without a server in between; the app runs meanwhile."""
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers={**AUTH, **headers}) as client,
    ):
        yield client
