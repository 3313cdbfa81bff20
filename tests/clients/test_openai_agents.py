"""OpenAI's Agents SDK."""

from tests.clients.contract import Client, ClientContract


class TestOpenAIAgents(ClientContract):
    runtime = "clients"
    script = "openai_agents_client"
    apis = ("chat", "responses")

    def test_a_session_can_be_a_conversation_of_the_service(self, client: Client) -> None:
        # With chat completions the SDK cannot read the items that it has stored itself.
        assert (
            client.run("conversation", "responses") == "user: Hello! | assistant: user: Hello! | user: What was said?"
        )
