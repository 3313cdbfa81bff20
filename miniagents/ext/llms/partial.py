"""Structured output while it streams."""

from collections.abc import AsyncIterator
from typing import Any

from miniagents.ext.llms.providers.clients import sdk
from miniagents.messages import MessagePromise


async def partial_outputs(promise: MessagePromise) -> AsyncIterator[Any]:
    """What a structured output says so far: plain data (dicts, lists, strings), more of it with each token.

    Args:
        promise: The promise of the reply, of an agent with `output=`.

    Yields:
        The data, whenever it has changed. It is not checked: the whole of it is, once it is there.

    Raises:
        MissingDependencyError: jiter is not installed; it comes with the SDKs.
    """
    jiter = sdk("jiter", "openai")
    text, last = "", None
    async for token in promise:
        text += str(token)
        try:
            value = jiter.from_json(text.encode(), partial_mode="trailing-strings")
        except ValueError:
            continue  # not a beginning of JSON yet
        if value != last:
            last = value
            yield value
