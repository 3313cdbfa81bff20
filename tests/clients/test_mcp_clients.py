"""Clients of the Model Context Protocol that nobody here wrote, for the agents as tools."""

from tests.clients.contract import Client, McpContract


class TestOldTypeScript(McpContract):
    """Version 1 of the TypeScript SDK, of the era with sessions."""

    runtime = "node"
    script = "mcp_old"

    def test_it_speaks_the_old_era(self, client: Client, api: str) -> None:
        assert client.run("era", api) in ("2025-11-25", "miniagents")  # over stdio it does not say


class TestNewTypeScript(McpContract):
    """Version 2 of the TypeScript SDK, of the era without sessions."""

    runtime = "node"
    script = "mcp_new"

    def test_it_speaks_the_new_era(self, client: Client, api: str) -> None:
        assert client.run("era", api) == "2026-07-28"


class TestFastMcp(McpContract):
    runtime = "clients"
    script = "fastmcp_client"
