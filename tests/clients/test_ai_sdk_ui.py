"""The chat transport of Vercel's AI SDK."""

import pytest

from tests.clients.contract import ANSWERS, Client, FrontEndContract


class TestAiSdkUi(FrontEndContract):
    script = "ai_sdk_ui"
    apis = ("v6", "v7")

    @pytest.mark.parametrize("agent", ["clerk", "claude"])
    def test_it_makes_the_tool_calls_that_the_agent_leaves_to_it(self, client: Client, api: str, agent: str) -> None:
        assert client.run("tools", api, agent) == {**ANSWERS, "goes_on": True}

    def test_an_agent_that_is_not_there_is_an_error(self, client: Client, api: str) -> None:
        assert client.run("failure", api) in (404, "model_not_found")

    def test_a_failure_in_the_middle_closes_the_text_so_far_and_says_no_more_than_it_may(
        self, client: Client, api: str
    ) -> None:
        failed = client.run("failure_in_a_stream", api)

        assert failed == {"text": "one ", "failed": "The agent failed.", "done": True}
