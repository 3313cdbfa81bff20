"""Pydantic AI."""

from tests.clients.contract import Client, ClientContract


class TestPydanticAI(ClientContract):
    runtime = "clients"
    script = "pydantic_ai_client"
    apis = ("chat", "responses", "anthropic")

    def test_a_text_file_comes_in(self, client: Client, api: str) -> None:
        said = client.run("text_file", api)

        assert said.startswith("user: Read this. | user: ")
