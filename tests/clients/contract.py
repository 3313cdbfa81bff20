"""What every client must be able to do with a service: the tests that each of them inherits."""

import json
import subprocess
from typing import Any, ClassVar, Literal

import httpx2
import pytest

ANSWERS = {"called": [{"city": "Paris"}, {"city": "Rome"}], "answer": "2100000 and 2800000"}


class Service:
    """A service that runs in a process of its own.

    Args:
        url: Where it is.
        token: The token that it takes.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token

    def has_cancelled(self, name: str) -> bool:
        """Whether the call of `held` with this text is cancelled, now or within some seconds."""
        headers = {"authorization": f"Bearer {self.token}", "x-request-timeout": "10"}
        answer = httpx2.post(f"{self.url}/agents/witness", json={"messages": name}, headers=headers, timeout=20)
        return answer.is_success


class Client:
    """A process that runs a client's script; see `python/worker.py`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, name: str, *arguments: str) -> Any:
        """Call a function of the script.

        Raises:
            AssertionError: It failed; the text is its traceback.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the client's process has ended, with {self._process.wait(10)}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["result"]


class Contract:
    """The tests of one client, for each of the APIs that it speaks.

    Attributes:
        runtime: What runs its script: the Python of the tests, that of `make clients`, or Node.
        script: The name of its script.
        apis: The APIs.
    """

    pytestmark = pytest.mark.timeout(120)  # where the machine is busy, importing a client takes long

    runtime: ClassVar[Literal["tests", "clients", "node"]]
    script: ClassVar[str]
    apis: ClassVar[tuple[str, ...]]


class ClientContract(Contract):
    """The tests of a client for which an agent is a model."""

    def test_the_second_turn_knows_who_said_what_in_the_first(self, client: Client, api: str) -> None:
        first, second = client.run("turns", api)

        assert first == "system: Be brief. | user: Hello!"
        assert second == f"system: Be brief. | user: Hello! | assistant: {first} | user: What was said?"

    def test_it_makes_the_tool_calls_that_the_agent_leaves_to_it(self, client: Client, api: str) -> None:
        assert client.run("tools", api) == ANSWERS

    def test_tool_calls_in_a_stream_are_the_same(self, client: Client, api: str) -> None:
        assert client.run("streamed_tools", api) == ANSWERS

    def test_a_stream_comes_in_the_pieces_in_which_the_agent_says_it(self, client: Client, api: str) -> None:
        assert client.run("stream", api) == ["one ", "two ", "three"]

    def test_structured_output_is_an_object_of_the_clients_own_type(self, client: Client, api: str) -> None:
        assert client.run("output", api) == {"city": "Paris", "population": 2_100_000}

    def test_usage_is_what_the_models_below_the_agent_used(self, client: Client, api: str) -> None:
        assert client.run("usage", api) == [9, 3]  # the words of the question, and of the answer

    def test_an_agent_that_is_not_there_is_an_error_with_the_status(self, client: Client, api: str) -> None:
        assert client.run("failure", api) == 404

    def test_leaving_a_stream_cancels_the_agent(self, client: Client, api: str, service: Service) -> None:
        name = f"{self.script} {api}"

        assert client.run("cancel", api, name) == "one "
        assert service.has_cancelled(name)


class FrontEndContract(Contract):
    """The tests of a library of chat front ends."""

    runtime = "node"

    def test_the_second_turn_knows_who_said_what_in_the_first(self, client: Client, api: str) -> None:
        first, second = client.run("turns", api)

        assert first == "user: Hello!"
        assert second == f"user: Hello! | assistant: {first} | user: What was said?"

    @pytest.mark.parametrize("agent", ["clerk", "claude"])
    def test_it_makes_the_tool_calls_that_the_agent_leaves_to_it(self, client: Client, api: str, agent: str) -> None:
        assert ANSWERS.items() <= client.run("tools", api, agent).items()

    def test_it_shows_the_agents_own_tool_calls_and_makes_none_of_them(self, client: Client, api: str) -> None:
        assert client.run("own_tools", api) == {**ANSWERS, "results": ["2100000", "2800000"], "left": []}

    def test_the_reasoning_of_a_model_is_shown_beside_the_answer(self, client: Client, api: str) -> None:
        assert client.run("reasoning", api) == {"thought": "Let me see.", "answer": "Four."}

    def test_several_messages_of_an_agent_are_several_messages(self, client: Client, api: str) -> None:
        assert client.run("messages", api) == ["First this.", "Then that."]

    def test_a_stream_comes_in_the_pieces_in_which_the_agent_says_it(self, client: Client, api: str) -> None:
        assert client.run("stream", api) == ["one ", "two ", "three"]

    def test_usage_is_what_the_models_below_the_agent_used(self, client: Client, api: str) -> None:
        assert client.run("usage", api) == [9, 3]  # the words of the question, and of the answer

    def test_leaving_a_stream_cancels_the_agent(self, client: Client, api: str, service: Service) -> None:
        name = f"{self.script} {api}"

        assert client.run("cancel", api, name) == "one "
        assert service.has_cancelled(name)


class McpContract(Contract):
    """The tests of a client of the Model Context Protocol, for which an agent is a tool."""

    apis = ("http", "stdio")

    def test_agents_are_tools_with_their_descriptions(self, client: Client, api: str) -> None:
        assert {"historian": "Says who said what.", "talker": "Says two things."}.items() <= client.run(
            "tools", api
        ).items()

    def test_a_call_gives_what_the_agent_says(self, client: Client, api: str) -> None:
        assert client.run("turns", api) == [{"type": "text", "text": "user: Hello!"}]
        assert [block["text"] for block in client.run("several", api)] == ["First this.", "Then that."]

    def test_the_pieces_of_a_stream_are_progress(self, client: Client, api: str) -> None:
        assert client.run("stream", api, f"{self.script} {api}") == ["one ", "two ", "three"]

    def test_a_failure_is_a_result_that_says_no_more_than_it_may(self, client: Client, api: str) -> None:
        failed = client.run("failed", api)

        assert failed == {"isError": True, "content": [{"type": "text", "text": "The agent failed."}]}

    def test_a_cancel_is_seen_below_and_the_connection_goes_on(self, client: Client, api: str) -> None:
        cancelled = client.run("cancel", api, f"{self.script} {api}")

        assert (cancelled["first"], cancelled["seen"][0]) == ("one ", "cancelled")
        assert client.run("turns", api) == [{"type": "text", "text": "user: Hello!"}]
        assert client.run("close", api)
