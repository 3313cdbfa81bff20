"""Pydantic AI."""

from tests.clients.contract import ClientContract


class TestPydanticAI(ClientContract):
    runtime = "clients"
    script = "pydantic_ai_client"
    apis = ("chat", "responses", "anthropic")
