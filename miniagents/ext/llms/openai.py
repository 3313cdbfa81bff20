"""`OpenAIAgent` and `openai_embedding_agent`."""

from collections.abc import Mapping, Sequence
from typing import Any

from miniagents.actors import RetryPolicy
from miniagents.agents import InteractionContext, Live, MiniAgent, miniagent
from miniagents.ext.llms import requesting
from miniagents.ext.llms.agents import ConnectionSettings, llm_agent, terms_of
from miniagents.ext.llms.attempting import NoTokens
from miniagents.ext.llms.limits import RateLimit
from miniagents.ext.llms.llm_agent import LLMAgent
from miniagents.ext.llms.messages import EmbeddingMessage
from miniagents.ext.llms.parameters import CHAT, EMBEDDINGS, RESPONSES, Api
from miniagents.ext.llms.provider import ModelRequest, Provider
from miniagents.ext.llms.providers.clients import close_client, key_or_environment, key_source, loaded
from miniagents.ext.llms.providers.embeddings import EmbeddingProvider
from miniagents.ext.llms.providers.openai import OpenAIProvider
from miniagents.messages import EMPTY, Message, Secret, TextMessage

VARIABLE = "OPENAI_API_KEY"
"""The environment variable of the key."""


async def _client(ctx: InteractionContext, base_url: str | None, api_key: Secret | None) -> Any:
    openai = await loaded("openai", "openai")
    key = key_or_environment(api_key, VARIABLE, ctx.interaction.path)
    return ctx.system.shared(
        ("openai", base_url, key),
        lambda: openai.AsyncOpenAI(api_key=key.reveal(), base_url=base_url, max_retries=0),
        close_client,
    )


async def _connect(access: ConnectionSettings) -> Provider:
    client = access.client if access.client is not None else await _client(access.ctx, access.base_url, access.api_key)
    source = key_source(access.api_key, VARIABLE, access.client)
    return OpenAIProvider(client, access.options.pop("api", "chat"), key_source=source)


class OpenAILLMAgent(LLMAgent):
    """Models of OpenAI, and of any server that is compatible with it (`base_url=`).

    `OpenAIAgent.fork(model="gpt-5-mini", system="...", temperature=0).inquire("Hi")`; `api="responses"` chooses the
    Responses API instead of chat completions. The options stand with `fork`; beside them it takes the parameters of the
    API. What only a compatible server takes goes through `api_options={...}`.
    """

    __slots__ = ()

    more_options = frozenset({"api"})

    def apis(self, arguments: Mapping[str, Any]) -> tuple[Api, ...]:
        """The one that is chosen."""
        return (RESPONSES if arguments.get("api") == "responses" else CHAT,)


OpenAIAgent = llm_agent.fork(
    alias="OpenAIAgent",
    description="Answers with what a model of OpenAI, or of a compatible server, says.",
    connect=_connect,
).as_kind(OpenAILLMAgent)
"""Models of OpenAI, and of any server that is compatible with it; see `OpenAILLMAgent`."""


class _EmbeddingAgent(LLMAgent):
    __slots__ = ()

    def apis(self, arguments: Mapping[str, Any]) -> tuple[Api, ...]:
        """OpenAI's embeddings."""
        return (EMBEDDINGS,)


def _checked(agent: MiniAgent) -> MiniAgent:
    return agent.as_kind(_EmbeddingAgent)


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
    budget: Live[Any] = None,
    response_metadata: Mapping[str, Any] = EMPTY,
    **options: Any,
) -> None:
    """Turns texts into vectors.

    Args:
        ctx: The context.
        model: The embedding model.
        batch_mode: Make one vector of each message; otherwise one of all messages, joined by blank lines.
        base_url: The address of the API; None for OpenAI's own.
        api_key: The key; None for that of the environment.
        async_client: A client of the SDK, to be used instead of our own.
        retry: How often a request that failed is repeated; None for 6 attempts with backoff.
        idle_timeout: Seconds after which a request has stalled; None for no limit.
        rate_limit: How fast this agent, and all others with the same limit, may ask.
        budget: A `Budget`, or several, that this agent spends.
        response_metadata: More metadata of the replies.
        **options: Options of the API call, passed on as they are.

    Raises:
        LLMError: There is no answer.
    """
    messages: Sequence[Message] = await ctx.message_promises
    if not messages:
        return
    if not batch_mode:
        messages = (TextMessage(str(messages)),)
    request = ModelRequest(model, tuple(messages), options={"max_tokens": 0, **options})
    client = async_client if async_client is not None else await _client(ctx, base_url, api_key)
    provider = EmbeddingProvider(client, key_source(api_key, VARIABLE, async_client))
    terms = terms_of(ctx, retry, idle_timeout, rate_limit, budget)
    answer = await requesting.ask(provider, request, NoTokens(), terms, ctx.interaction)
    for embedding in answer.embeddings:
        ctx.reply(EmbeddingMessage(embedding=embedding).with_metadata(model=model, **response_metadata))
