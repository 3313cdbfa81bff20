"""`ToolSource`: tools that are listed when they are needed, by a server for example."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias, runtime_checkable

from miniagents.ext.llms.tool_results import contained
from miniagents.ext.llms.tools import Target


@runtime_checkable
class ToolSource(Protocol):
    """A server, or anything else, that lists its tools asynchronously.

    `tools=` may hold tool sources among functions and agents. They are asked at the start of each call of the agent,
    one after the other, within `tool_timeout` in all; a source whose list does not change may keep it.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.llms import OpenAIAgent, Tool

        class Shop:
            async def list_tools(self) -> list[Tool]:
                return [Tool(self.price, description="Tells the price of a product in EUR.")]

            async def price(self, product: str) -> float:
                return 9.5

        async def main() -> None:
            print(await OpenAIAgent.fork(model="gpt-5-mini", tools=[Shop()]).inquire("What does a lamp cost?"))

        MiniAgents().run(main())
        ```
    """

    async def list_tools(self) -> Iterable[Target]:
        """Return the tools: functions, agents, and `Tool`s.

        An exception that is raised here fails the call of the agent.
        """
        ...


listing_model: ContextVar[str | None] = ContextVar("miniagents.listing_model", default=None)
"""The provider's name of the model for which a source lists its tools; None if it is for a program."""

ToolChoice: TypeAlias = Target | ToolSource | Mapping[str, Any]
"""An item of `tools=`. A dict is a tool of the provider, in the words of its API."""


def hosted_in(choices: Sequence[ToolChoice]) -> list[dict[str, Any]]:
    """Return the provider's own tools among the items of `tools=`."""
    return [dict(choice) for choice in choices if isinstance(choice, Mapping)]


def names_of(tools: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of tools in the words of an API. Tools that the provider runs under no name have none."""
    names = {tool.get("name") or (tool.get("function") or {}).get("name") for tool in tools}
    return frozenset(name for name in names if isinstance(name, str))


async def listed(
    choices: Sequence[ToolChoice], path: str, timeout: float | None, model: str | None = None
) -> Sequence[Target]:
    """Replace each tool source by the tools that it lists, and leave out the provider's own tools.

    Args:
        choices: Functions, agents, tools and sources.
        path: The path of the agent, for errors.
        timeout: Seconds that all sources together may take, more than 0; None for no limit.
        model: The provider's name of the model that gets the tools, or None.

    Raises:
        TimeoutError: The sources took longer.
        Exception: A source raised it.
    """
    if not any(hasattr(choice, "list_tools") or isinstance(choice, Mapping) for choice in choices):
        return choices  # type: ignore[return-value]  # there is no source among them
    targets: list[Target] = []
    source: ToolSource | None = None
    listing = listing_model.set(model)
    try:
        async with asyncio.timeout(timeout) as timer:
            for choice in choices:
                if isinstance(choice, ToolSource):
                    source = choice
                    targets += await contained(source.list_tools())
                elif not isinstance(choice, Mapping):
                    targets.append(choice)
    except Exception as error:
        if isinstance(error, TimeoutError) and timer.expired():
            raise TimeoutError(f"{path}: {source!r} listed no tools within {timeout} s (tool_timeout)") from error
        error.add_note(f"{path}: {source!r} could not list its tools")
        raise
    finally:
        listing_model.reset(listing)
    return targets
