"""Servers behind OAuth, with the SDK's provider for machines."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.auth import TokenStorage
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from miniagents import MiniAgents
from miniagents.errors import McpUnavailableError
from miniagents.ext.mcp import McpServer
from tests.ext.mcp.servers import ERAS, http_program, noted, until

pytestmark = pytest.mark.real_time


class Storage(TokenStorage):
    token: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.token

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.token = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def signed_in(url: str, **options: Any) -> McpServer:
    auth = ClientCredentialsOAuthProvider(
        server_url=url,
        storage=Storage(),
        client_id="machine",
        client_secret="secret",
        issuer=url.removesuffix("/mcp"),
    )
    return McpServer("web", url=url, auth=auth, **options)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kind", ["", "json"])
@pytest.mark.parametrize("forgets", [False, True])
async def test_ten_calls_behind_one_sign_in_run_side_by_side_and_the_end_of_one_ends_no_other(
    forgets: bool, kind: str, era: str, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    async with http_program(era, notes, "sign-in", *kind.split()) as (url, _):
        server = signed_in(url)
        async with MiniAgents():
            await server.started()
            if forgets:  # the token is refused from now on
                async with httpx2.AsyncClient() as client:
                    await client.get(url.replace("/mcp", "/forget"))
            calls = [asyncio.ensure_future(server.call("hold")) for _ in range(10)]
            await until(lambda: noted(notes).count("called hold") >= 4)
            calls[3].cancel()
            await until(lambda: noted(notes).count("called hold") >= 9)  # at the same time: none is let go yet
            with notes.open("a") as file:
                file.write("open\n")
            results = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(results[3], asyncio.CancelledError)
    assert [str(result) for result in results[:3] + results[4:]] == ["let go"] * 9
    assert noted(notes).count("token") == 1 + forgets


async def test_a_server_behind_a_sign_in_may_ask_in_the_middle_of_a_call() -> None:
    async with http_program("old", None, "sign-in") as (url, _), MiniAgents():
        server = signed_in(url, on_elicitation=lambda question: {"colour": "red"})
        result = await server.call("ask")

    assert result.content == "accept {'colour': 'red'}"


async def test_a_server_that_wants_a_sign_in_says_so() -> None:
    async with http_program("new", None, "sign-in") as (url, _), MiniAgents():
        with pytest.raises(McpUnavailableError, match="HTTP 401 Unauthorized"):
            await McpServer("web", url=url).started()
