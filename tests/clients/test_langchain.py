"""LangChain's `ChatOpenAI`."""

from tests.clients.contract import ClientContract


class TestLangChain(ClientContract):
    runtime = "clients"
    script = "langchain_client"
    apis = ("chat", "responses")
