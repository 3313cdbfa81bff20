"""AG-UI's own client."""

from tests.clients.contract import Client, FrontEndContract


class TestAgUi(FrontEndContract):
    script = "ag_ui"
    apis = ("1.0",)

    def test_an_agent_that_is_not_there_is_an_error_with_the_status(self, client: Client, api: str) -> None:
        assert client.run("failure", api) == 404

    def test_a_failure_in_the_middle_leaves_the_text_so_far_and_says_no_more_than_it_may(
        self, client: Client, api: str
    ) -> None:
        failed = client.run("failure_in_a_stream", api)

        assert failed == {"text": "one ", "failed": ["agent_failed", "The agent failed."]}
