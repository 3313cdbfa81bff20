"""`window_of`: the context window of a model, from the data of `genai-prices`."""

import asyncio
from collections.abc import Iterator

from miniagents.ext.llms.catalogue import catalogue

_known: dict[str, int | None] = {}


async def window_of(model: str) -> int | None:
    """Return the number of tokens that a model can read in one request; None if it is not known.

    The first question about a model is answered in a thread, since the import of the data takes a third of a second.

    Args:
        model: The provider's name of the model.
    """
    if model not in _known:
        _known[model] = await asyncio.to_thread(_window_of, model)
    return _known[model]


def _window_of(model: str) -> int | None:
    windows: Iterator[int | None] = (entry.context_window for entry in catalogue.entries(model))
    return next((window for window in windows if window is not None), None)
