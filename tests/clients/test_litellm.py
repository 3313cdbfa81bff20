"""LiteLLM."""

from tests.clients.contract import ClientContract


class TestLiteLLM(ClientContract):
    runtime = "clients"
    script = "litellm_client"
    apis = ("chat", "responses", "anthropic")
