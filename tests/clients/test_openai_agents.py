"""OpenAI's Agents SDK."""

from tests.clients.contract import ClientContract


class TestOpenAIAgents(ClientContract):
    runtime = "clients"
    script = "openai_agents_client"
    apis = ("chat", "responses")
