"""`AnthropicAgent`."""

from collections.abc import Mapping
from typing import Any

from miniagents.ext.llms.agents import ConnectionSettings, llm_agent
from miniagents.ext.llms.llm_agent import LLMAgent
from miniagents.ext.llms.messages import OutputT_co
from miniagents.ext.llms.parameters import MESSAGES, Api
from miniagents.ext.llms.provider import Provider
from miniagents.ext.llms.providers.anthropic import AnthropicProvider
from miniagents.ext.llms.providers.clients import key_or_environment, key_source, sdk
from miniagents.ext.llms.providers.clouds import ANTHROPIC_CLOUDS, OPTIONS, Place, cloud_of
from miniagents.ext.llms.providers.shared_client import SharedClient

DEFAULT_MAX_TOKENS = 4096
"""The default of `max_tokens`, since the API has none."""

VARIABLE = "ANTHROPIC_API_KEY"
"""The environment variable of the key."""

_LATE_MODULES = ("opentelemetry.propagate",)


async def _connect(connection: ConnectionSettings) -> Provider:
    connection.options.setdefault("max_tokens", DEFAULT_MAX_TOKENS)
    ctx, place = connection.ctx, Place(connection.base_url, connection.api_key)
    chosen = cloud_of(ANTHROPIC_CLOUDS, connection.options, place, ctx.interaction.path)
    if chosen is not None:
        cloud, place = chosen
        shared = ctx.system.shared(chosen, lambda: cloud.shared_client(place, ctx.interaction.path), SharedClient.close)
        return AnthropicProvider(await shared.ready("messages"), cloud.credentials, name=cloud.name, is_cloud=True)
    if connection.client is not None:
        return AnthropicProvider(connection.client)
    key = key_or_environment(connection.api_key, VARIABLE, connection.ctx.interaction.path)
    base_url = connection.base_url

    def make() -> Any:
        return sdk("anthropic", "anthropic").AsyncAnthropic(api_key=key.reveal(), base_url=base_url, max_retries=0)

    client = connection.ctx.system.shared(
        ("anthropic", base_url, key), lambda: SharedClient(make, "anthropic", _LATE_MODULES), SharedClient.close
    )
    return AnthropicProvider(await client.ready("messages"), key_source(connection.api_key, VARIABLE))


class AnthropicLLMAgent(LLMAgent[OutputT_co]):
    """An agent with a model of Anthropic.

    Beside the options of `fork`, it takes the parameters of Anthropic's Messages API; `max_tokens` is 4,096 by default.
    `effort=` is how much the model thinks. `cache_prompt=True` lets the API cache the conversation, the system prompt
    and the tools.
    `provider="bedrock"` or "vertex" (with `region`, `project`) takes the models from a cloud. If the first message is
    not the user's, `fake_first_user_message` (by default "/start") is sent before it.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.llms import AnthropicAgent

        async def main() -> None:
            agent = AnthropicAgent.fork(model="claude-haiku-4-5", system="Be brief.", max_tokens=500)
            print(await agent.inquire("Hi"))

        MiniAgents().run(main())
        ```
    """

    __slots__ = ()

    more_options = frozenset({"fake_first_user_message", "cache_prompt"}) | OPTIONS

    def apis(self, arguments: Mapping[str, Any]) -> tuple[Api, ...]:
        """Return the Messages API."""
        return (MESSAGES,)


AnthropicAgent: LLMAgent = llm_agent.fork(
    alias="AnthropicAgent", description="Answers with what a model of Anthropic says.", connect=_connect
).as_kind(AnthropicLLMAgent)
"""An agent with a model of Anthropic; see `AnthropicLLMAgent`."""
