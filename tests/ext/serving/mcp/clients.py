"""The SDK's own client, for the tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

MODES = ("legacy", "2026-07-28")
"""The two eras of the protocol."""


@asynccontextmanager
async def http_client(url: str, mode: str = "auto", token: str | None = None) -> AsyncIterator[Client]:
    """A client of a server at an address."""
    headers = {"authorization": f"Bearer {token}"} if token is not None else {}
    async with (
        httpx2.AsyncClient(headers=headers, follow_redirects=False) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client
