"""The three APIs, for tests that must hold for all of them."""

from collections.abc import Callable
from typing import Any

import pytest

from miniagents import Backoff, MiniAgent, RetryPolicy
from miniagents.ext.llms import AnthropicAgent, OpenAIAgent
from miniagents.testing import FakeProvider

QUICK = RetryPolicy(backoff=Backoff(0.005, 0.02))
ONCE = RetryPolicy(attempts=1)

AGENTS: dict[str, Callable[[FakeProvider], MiniAgent]] = {
    "openai": lambda provider: OpenAIAgent.fork(model="gpt-5-mini", retry=QUICK, **provider.openai),
    "responses": lambda provider: OpenAIAgent.fork(model="gpt-5-mini", api="responses", retry=QUICK, **provider.openai),
    "anthropic": lambda provider: AnthropicAgent.fork(model="claude-haiku-4-5", retry=QUICK, **provider.anthropic),
}

each_api = pytest.mark.parametrize("api", list(AGENTS))


def agent_of(api: str, provider: FakeProvider, **options: Any) -> MiniAgent:
    """An agent that talks to the fake provider."""
    return AGENTS[api](provider).fork(**options)
