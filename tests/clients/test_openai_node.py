"""OpenAI's SDK for Node."""

from tests.clients.contract import ClientContract


class TestOpenAINode(ClientContract):
    runtime = "node"
    script = "openai_node"
    apis = ("chat", "responses")
