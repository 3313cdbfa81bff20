"""`partial_outputs`: structured output while it streams."""

from collections.abc import AsyncIterator
from typing import Any

from miniagents.ext.llms.providers.clients import sdk
from miniagents.messages import MessagePromise


async def partial_outputs(promise: MessagePromise) -> AsyncIterator[Any]:
    """Stream a structured output as plain data (dicts, lists, strings), with more of it after each token.

    Args:
        promise: The promise of the reply of an agent with `output=`.

    Yields:
        The data so far, whenever it has changed. It is not checked; the whole output is, when the promise resolves.

    Raises:
        MissingDependencyError: jiter is not installed; it comes with the SDKs.

    Example:
        ```python
        import msgspec

        from miniagents import MiniAgents
        from miniagents.ext.llms import OpenAIAgent, partial_outputs

        class City(msgspec.Struct):
            name: str
            country: str

        async def main() -> None:
            agent = OpenAIAgent.fork(model="gpt-5-mini", output=City)
            async for promise in agent.inquire("Where is the Louvre?"):
                async for data in partial_outputs(promise):
                    print(data)

        MiniAgents().run(main())
        ```
    """
    jiter = sdk("jiter", "openai")
    text, last = "", None
    async for token in promise:
        text += str(token)
        try:
            value = jiter.from_json(text.encode(), partial_mode="trailing-strings")
        except ValueError:
            continue  # too short to be the beginning of a JSON document
        if value != last:
            last = value
            yield value
