"""OpenAI's SDK for Python."""

from tests.clients.contract import ClientContract


class TestOpenAI(ClientContract):
    runtime = "tests"
    script = "openai_sdk"
    apis = ("chat", "responses")
