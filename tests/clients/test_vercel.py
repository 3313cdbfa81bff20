"""Vercel's AI SDK."""

from tests.clients.contract import ClientContract


class TestVercel(ClientContract):
    """`unstored` is the Responses API with `store: false`, which takes whole items instead of references."""

    runtime = "node"
    script = "vercel"
    apis = ("chat", "responses", "unstored", "anthropic")
