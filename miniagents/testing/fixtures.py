"""Fixtures for pytest: put `pytest_plugins = ["miniagents.testing.fixtures"]` into the topmost `conftest.py`."""

from collections.abc import Iterator

import pytest

from miniagents.testing.fake_provider import FakeProvider


@pytest.fixture(scope="session")
def _fake_provider_server() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def fake_provider(_fake_provider_server: FakeProvider) -> FakeProvider:
    """A running `FakeProvider` without exchanges. Script it with `fake_provider.reset(...)`.

    Example:
        ```
        async def test_the_agent_greets(fake_provider):
            fake_provider.reset("Hello!")
            agent = OpenAIAgent.fork(model="gpt-5-mini", **fake_provider.openai)
            async with MiniAgents():
                assert str(await agent.inquire("Hi")) == "Hello!"
        ```
    """
    _fake_provider_server.requests_per_second = None
    _fake_provider_server.api_key = None
    _fake_provider_server.more_fields = ()
    return _fake_provider_server.reset()
