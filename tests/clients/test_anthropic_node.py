"""Anthropic's SDK for Node."""

from tests.clients.contract import ClientContract


class TestAnthropicNode(ClientContract):
    runtime = "node"
    script = "anthropic_node"
    apis = ("messages",)
