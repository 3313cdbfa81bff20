"""Pydantic AI."""

from collections.abc import Mapping
from typing import ClassVar

from tests.clients.contract import Client, ClientContract


class TestPydanticAI(ClientContract):
    runtime = "clients"
    script = "pydantic_ai_client"
    apis = ("chat", "responses", "anthropic")
    faults: ClassVar[Mapping[tuple[str, str], str]] = {
        (
            "test_a_text_file_comes_in",
            "anthropic",
        ): "documents of Anthropic's API with a source of the type text are refused"
    }

    def test_a_text_file_comes_in(self, client: Client, api: str) -> None:
        said = client.run("text_file", api)

        assert said.startswith("user: Read this. | user: ")
