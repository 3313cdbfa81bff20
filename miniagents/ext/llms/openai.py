"""`OpenAIAgent` and `openai_embedding_agent`."""

from collections.abc import Mapping
from typing import Any

from miniagents.ext.llms.agents import Access, llm_agent
from miniagents.ext.llms.messages import EmbeddingMessage
from miniagents.ext.llms.model import Provider
from miniagents.ext.llms.providers.clients import close_client, key_or_environment, sdk
from miniagents.ext.llms.providers.mapping import thawed
from miniagents.ext.llms.providers.openai import OpenAIProvider, failures_of
from miniagents.messages import EMPTY, Secret
from miniagents.miniagents import InteractionContext, Live, miniagent


def _client(ctx: InteractionContext, base_url: str | None, api_key: Secret | None) -> Any:
    openai = sdk("openai", "openai")
    key = key_or_environment(api_key, "OPENAI_API_KEY", ctx.interaction.path)
    return ctx.system.shared(
        ("openai", base_url, key),
        lambda: openai.AsyncOpenAI(api_key=key.reveal(), base_url=base_url, max_retries=0),
        close_client,
    )


async def _connect(access: Access) -> Provider:
    client = access.client if access.client is not None else _client(access.ctx, access.base_url, access.api_key)
    return OpenAIProvider(client, access.options.pop("api", "chat"))


OpenAIAgent = llm_agent.fork(
    alias="OpenAIAgent",
    description="Answers with what a model of OpenAI, or of a compatible server, says.",
    connect=_connect,
)
"""Models of OpenAI, and of any server that is compatible with it (`base_url=`).

`OpenAIAgent.fork(model="gpt-5-mini", system="...", temperature=0).inquire("Hi")`; `api="responses"` chooses the
Responses API instead of chat completions. The options are those of `llm_agent`; all others go to the API call.
"""


@miniagent
async def openai_embedding_agent(
    ctx: InteractionContext,
    model: str,
    *,
    batch_mode: bool = False,
    base_url: str | None = None,
    api_key: Secret | None = None,
    async_client: Live[Any] = None,
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
        response_metadata: More metadata of the replies.
        **options: Options of the API call, passed on as they are.

    Raises:
        ProviderError: It failed.
    """
    messages = await ctx.message_promises
    texts = [str(message) for message in messages] if batch_mode else [str(messages)]
    if not messages:
        return
    client = async_client if async_client is not None else _client(ctx, base_url, api_key)
    with failures_of("openai"):
        answer = await client.embeddings.create(input=texts, model=model, **thawed(options))
    for entry in answer.data:
        ctx.reply(EmbeddingMessage(embedding=tuple(entry.embedding)).with_metadata(model=model, **response_metadata))
