"""`llm_agent`: the agent that all agents with a model are forks of."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from miniagents.actors import RetryPolicy
from miniagents.agents import Interaction, InteractionContext, Live, MiniAgent, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.agents.loggers import markdown_llm_logger_agent
from miniagents.ext.llms.approvals import Approve
from miniagents.ext.llms.attempting import Terms
from miniagents.ext.llms.budgets import Budget
from miniagents.ext.llms.cache import Cache
from miniagents.ext.llms.compact import Compact
from miniagents.ext.llms.compaction import compacted_by
from miniagents.ext.llms.lending import Purse, pace_of, purse_of
from miniagents.ext.llms.limits import RateLimit
from miniagents.ext.llms.llm_agent import show_options
from miniagents.ext.llms.provider import Provider
from miniagents.ext.llms.schemas import output_type
from miniagents.ext.llms.tool_loop import Settings, ToolLoop
from miniagents.ext.llms.tool_sources import ToolChoice, hosted_in, listed
from miniagents.ext.llms.tools import tools_of
from miniagents.messages import EMPTY, Secret


@dataclass(slots=True)
class ConnectionSettings:
    """The settings with which an agent connects to its provider.

    Attributes:
        ctx: The context of the call.
        model: The provider's name of the model.
        base_url: The address of the API, or None for the address of the provider.
        api_key: The key, or None for the key in the environment.
        client: The user's own client of the SDK, or None.
        options: The parameters of the API call. `Connect` functions remove the options that are their own.
    """

    ctx: InteractionContext
    model: str
    base_url: str | None
    api_key: Secret | None
    client: Any
    options: dict[str, Any]


Connect: TypeAlias = Callable[[ConnectionSettings], Awaitable[Provider]]
"""A function that connects to a provider; it is called at the start of each call of an agent."""


@miniagent
async def llm_agent(
    ctx: InteractionContext,
    *,
    connect: Live[Connect],
    model: str | None = None,
    system: str | None = None,
    stream: bool | None = None,
    base_url: str | None = None,
    api_key: Secret | None = None,
    async_client: Live[Any] = None,
    tools: Live[Sequence[ToolChoice] | None] = (),
    approve: Live[Approve | None] = None,
    approve_timeout: float | None = None,
    tool_timeout: float | None = 60.0,
    max_turns: int = 16,
    output: Live[Any] = None,
    repairs: int = 2,
    retry: Live[RetryPolicy | None] = None,
    idle_timeout: float | None = 60.0,
    rate_limit: Live[RateLimit | None] = None,
    budget: Live[Budget | Sequence[Budget] | None] = None,
    cache: Live[Cache | None] = None,
    compact: Live[Compact | None] = None,
    llm_logger_agent: MiniAgent | bool | None = None,
    response_metadata: Mapping[str, Any] = EMPTY,
    api_options: Mapping[str, Any] = EMPTY,
    **options: Any,
) -> None:
    """Answer a conversation with the replies of a model.

    Args:
        ctx: The context.
        connect: Connects to the provider.
        model: See `LLMAgent.fork` for this option and all others.

    Raises:
        LLMError: There is no answer.
    """
    path = ctx.interaction.path
    if not model:
        raise InvalidOptionError(f"{path}: which model? Give model=, as in {ctx.this_agent.alias}.fork(model='...')")
    connection = ConnectionSettings(ctx, model, base_url, api_key, async_client, {**options, **api_options})
    if tools and (hosted := hosted_in(tools)):
        connection.options["tools"] = [*hosted, *connection.options.get("tools", ())]
    provider = await connect(connection)
    if compact is not None and compact.by == "provider":
        connection.options = await compacted_by(provider, compact, connection.model, connection.options, path)
    settings = Settings(
        model=connection.model,
        system=system,
        stream=ctx.system.stream_llm_tokens_by_default if stream is None else stream,
        options=connection.options,
        terms=terms_of(ctx, retry, idle_timeout, rate_limit, budget, cache),
        tools=tools_of(await listed(tools, path, tool_timeout, connection.model) if tools else ()),
        approve=approve,
        approve_timeout=approve_timeout,
        tool_timeout=tool_timeout,
        max_turns=max_turns,
        output=output_type(output) if output is not None else None,
        repairs=repairs,
        metadata=response_metadata,
        compact=compact,
        logger=_logger(llm_logger_agent if llm_logger_agent is not None else ctx.system.llm_logger_agent),
    )
    await ToolLoop(ctx, provider, settings).run()


show_options(llm_agent.wrapped)


_DEFAULT_RETRY = RetryPolicy()


def terms_of(
    ctx: InteractionContext,
    retry: RetryPolicy | None,
    idle_timeout: float | None,
    rate_limit: RateLimit | None,
    budget: Budget | Sequence[Budget] | None,
    cache: Cache | None = None,
) -> Terms:
    """Return the terms of the requests of an agent: its own options, and the budgets of its system."""
    call = ctx.interaction
    own = () if budget is None else budget if isinstance(budget, Sequence) else (budget,)
    system = ctx.system
    if rate_limit is not None:
        system.known_limits.add(rate_limit)
    for limited in own:
        system.known_budgets.add(limited)
    budgets: tuple[Purse, ...] = ()
    if own or system.own_budgets:  # most calls have none
        paying = (*own, *(b for b in system.own_budgets if covers(b, call) and b not in own))
        budgets = tuple(purse_of(each, call) for each in paying)
    return Terms(
        retry=retry if retry is not None else _DEFAULT_RETRY,
        idle_timeout=idle_timeout,
        rate_limit=pace_of(rate_limit, call) if rate_limit is not None else None,
        budgets=budgets,
        cache=cache,
    )


def covers(budget: Budget, interaction: Interaction) -> bool:
    """Return whether a budget of the system pays for a call; a budget without `under=` pays for all calls."""
    if budget.under is None:
        return True
    top = budget.under.rstrip("/")
    ancestor: Interaction | None = interaction
    while ancestor is not None:
        paths = [ancestor.path, ancestor.sender.path if ancestor.sender is not None else ""]
        if any(str(path) == top or str(path).startswith(f"{top}/") for path in paths):
            return True
        ancestor = ancestor.parent
    return False


def _logger(choice: MiniAgent | bool | None) -> MiniAgent | None:
    if choice is True:
        return markdown_llm_logger_agent
    return choice if isinstance(choice, MiniAgent) else None
