"""Anthropic's SDK for Python."""

from tests.clients.contract import ANSWERS, Client, ClientContract


class TestAnthropic(ClientContract):
    runtime = "tests"
    script = "anthropic_sdk"
    apis = ("messages",)

    def test_the_sdks_own_loop_of_tools_works(self, client: Client, api: str) -> None:
        assert client.run("run_tools", api) == ANSWERS

    def test_tokens_are_counted(self, client: Client, api: str) -> None:
        assert client.run("count", api) > 0
