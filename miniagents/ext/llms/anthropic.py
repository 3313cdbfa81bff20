"""`AnthropicAgent`."""

from collections.abc import Mapping
from typing import Any

from miniagents.ext.llms.agents import ConnectionSettings, llm_agent
from miniagents.ext.llms.llm_agent import LLMAgent
from miniagents.ext.llms.parameters import MESSAGES, Api
from miniagents.ext.llms.provider import Provider
from miniagents.ext.llms.providers.anthropic import AnthropicProvider
from miniagents.ext.llms.providers.clients import close_client, key_or_environment, key_source, loaded

DEFAULT_MAX_TOKENS = 4096
"""The API has no default of its own."""

VARIABLE = "ANTHROPIC_API_KEY"
"""The environment variable of the key."""


async def _connect(access: ConnectionSettings) -> Provider:
    access.options.setdefault("max_tokens", DEFAULT_MAX_TOKENS)
    if access.client is not None:
        return AnthropicProvider(access.client)
    anthropic = await loaded("anthropic", "anthropic")
    key = key_or_environment(access.api_key, VARIABLE, access.ctx.interaction.path)
    client = access.ctx.system.shared(
        ("anthropic", access.base_url, key),
        lambda: anthropic.AsyncAnthropic(api_key=key.reveal(), base_url=access.base_url, max_retries=0),
        close_client,
    )
    return AnthropicProvider(client, key_source(access.api_key, VARIABLE))


class AnthropicLLMAgent(LLMAgent):
    """Models of Anthropic.

    `AnthropicAgent.fork(model="claude-haiku-4-5", system="...", max_tokens=500).inquire("Hi")`. The options stand with
    `fork`; beside them it takes the parameters of Anthropic's messages. `max_tokens` is 4,096 where it is not given.
    `fake_first_user_message` (by default "/start") comes first where the first message is not the user's.
    """

    __slots__ = ()

    more_options = frozenset({"fake_first_user_message"})

    def apis(self, arguments: Mapping[str, Any]) -> tuple[Api, ...]:
        """Anthropic's messages."""
        return (MESSAGES,)


AnthropicAgent = llm_agent.fork(
    alias="AnthropicAgent", description="Answers with what a model of Anthropic says.", connect=_connect
).as_kind(AnthropicLLMAgent)
"""Models of Anthropic; see `AnthropicLLMAgent`."""
