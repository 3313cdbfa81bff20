"""`OpenAIAgent` and `openai_embedding_agent`."""

from collections.abc import Mapping, Sequence
from typing import Any

from miniagents.actors import RetryPolicy
from miniagents.agents import InteractionContext, Live, MiniAgent, miniagent
from miniagents.ext.llms import requesting
from miniagents.ext.llms.agents import ConnectionSettings, llm_agent, terms_of
from miniagents.ext.llms.attempting import NoTokens
from miniagents.ext.llms.budgets import Budget
from miniagents.ext.llms.limits import RateLimit
from miniagents.ext.llms.llm_agent import LLMAgent
from miniagents.ext.llms.messages import EmbeddingMessage, OutputT_co
from miniagents.ext.llms.parameters import CHAT, EMBEDDINGS, RESPONSES, Api
from miniagents.ext.llms.provider import ModelRequest, Provider
from miniagents.ext.llms.providers.clients import key_or_environment, key_source, sdk
from miniagents.ext.llms.providers.clouds import OPENAI_CLOUDS, OPTIONS, Place, cloud_of
from miniagents.ext.llms.providers.embeddings import EmbeddingProvider
from miniagents.ext.llms.providers.openai import OpenAIProvider
from miniagents.ext.llms.providers.shared_client import SharedClient
from miniagents.messages import EMPTY, Message, Secret, TextMessage

VARIABLE = "OPENAI_API_KEY"
"""The environment variable of the key."""


async def _client(ctx: InteractionContext, base_url: str | None, api_key: Secret | None, resource: str) -> Any:
    key = key_or_environment(api_key, VARIABLE, ctx.interaction.path)

    def make() -> Any:
        return sdk("openai", "openai").AsyncOpenAI(api_key=key.reveal(), base_url=base_url, max_retries=0)

    client = ctx.system.shared(("openai", base_url, key), lambda: SharedClient(make, "openai"), SharedClient.close)
    return await client.ready(resource)


async def _connect(connection: ConnectionSettings) -> Provider:
    api, client = connection.options.pop("api", "chat"), connection.client
    resource = "responses" if api == "responses" else "chat.completions"
    ctx, place = connection.ctx, Place(connection.base_url, connection.api_key)
    chosen = cloud_of(OPENAI_CLOUDS, connection.options, place, ctx.interaction.path)
    if chosen is not None:
        cloud, place = chosen
        shared = ctx.system.shared(chosen, lambda: cloud.shared_client(place, ctx.interaction.path), SharedClient.close)
        client = await shared.ready(resource)
        return OpenAIProvider(client, api, name=cloud.name, key_source=cloud.credentials, is_cloud=True)
    if client is None:
        client = await _client(connection.ctx, connection.base_url, connection.api_key, resource)
    source = key_source(connection.api_key, VARIABLE, connection.client)
    return OpenAIProvider(client, api, key_source=source)


class OpenAILLMAgent(LLMAgent[OutputT_co]):
    """An agent with a model of OpenAI, or of a server that is compatible with OpenAI's API (`base_url=`).

    Beside the options of `fork`, it takes the parameters of the API, and `api="responses"` for the Responses API
    instead of chat completions. `provider="azure"` or "bedrock" (with `region`, `api_version`) takes the models from a
    cloud. Parameters that only a compatible server takes go through `api_options={...}`.

    `effort=` is how much the model reasons. `send_reasoning=` says which replies keep their reasoning when they go back
    to a server of chat completions: those with tool "calls" (the default, which DeepSeek demands), "all", or "none".

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.llms import OpenAIAgent

        async def main() -> None:
            agent = OpenAIAgent.fork(model="gpt-5-mini", system="Be brief.", temperature=0)
            print(await agent.inquire("Hi"))

        MiniAgents().run(main())
        ```
    """

    __slots__ = ()

    more_options = frozenset({"api", "send_reasoning"}) | OPTIONS

    def apis(self, arguments: Mapping[str, Any]) -> tuple[Api, ...]:
        """Return the API that `api=` chooses."""
        return (RESPONSES if arguments.get("api") == "responses" else CHAT,)


OpenAIAgent: LLMAgent = llm_agent.fork(
    alias="OpenAIAgent",
    description="Answers with what a model of OpenAI, or of a compatible server, says.",
    connect=_connect,
).as_kind(OpenAILLMAgent)
"""An agent with a model of OpenAI, or of a compatible server; see `OpenAILLMAgent`."""


class _EmbeddingAgent(LLMAgent):
    __slots__ = ()

    def apis(self, arguments: Mapping[str, Any]) -> tuple[Api, ...]:
        """Return the embeddings API."""
        return (EMBEDDINGS,)


def _checked(agent: MiniAgent) -> MiniAgent[EmbeddingMessage]:
    embedding: Any = agent.as_kind(_EmbeddingAgent)  # its replies are of another class
    return embedding  # type: ignore[no-any-return]


@_checked
@miniagent
async def openai_embedding_agent(
    ctx: InteractionContext,
    model: str,
    *,
    batch_mode: bool = False,
    base_url: str | None = None,
    api_key: Secret | None = None,
    async_client: Live[Any] = None,
    retry: Live[RetryPolicy | None] = None,
    idle_timeout: float | None = 60.0,
    rate_limit: Live[RateLimit | None] = None,
    budget: Live[Budget | Sequence[Budget] | None] = None,
    response_metadata: Mapping[str, Any] = EMPTY,
    **options: object,
) -> None:
    """Turn texts into vectors.

    Args:
        ctx: The context.
        model: The embedding model.
        batch_mode: Make a vector of each message, instead of one of all messages, joined by blank lines.
        base_url: The address of the API; None for the address of OpenAI.
        api_key: The key; None for the key in the environment.
        async_client: A client of the SDK to use instead of an own one.
        retry: The retry policy of failed requests; None for 6 attempts with backoff.
        idle_timeout: Seconds after which a request has stalled, more than 0; None for no limit.
        rate_limit: The rate limit that this agent shares with all others that have it.
        budget: The `Budget`, or several, that pay for the requests.
        response_metadata: More metadata for the replies.
        **options: Parameters of the API call, passed on as they are.

    Raises:
        LLMError: There is no answer.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.llms import openai_embedding_agent

        async def main() -> None:
            agent = openai_embedding_agent.fork(model="text-embedding-3-small", batch_mode=True)
            for message in await agent.inquire(["a text", "another one"]):
                print(len(message.embedding))

        MiniAgents().run(main())
        ```
    """
    messages: Sequence[Message] = await ctx.message_promises
    if not messages:
        return
    if not batch_mode:
        messages = (TextMessage(str(messages)),)
    request = ModelRequest(model, tuple(messages), options={"max_tokens": 0, **options})
    client = async_client if async_client is not None else await _client(ctx, base_url, api_key, "embeddings")
    provider = EmbeddingProvider(client, key_source(api_key, VARIABLE, async_client))
    terms = terms_of(ctx, retry, idle_timeout, rate_limit, budget)
    answer = await requesting.ask(provider, request, NoTokens(), terms, ctx.interaction)
    for embedding in answer.embeddings:
        ctx.reply(EmbeddingMessage(embedding=embedding).with_metadata(model=model, **response_metadata))
