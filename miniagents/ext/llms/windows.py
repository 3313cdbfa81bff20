"""`window_of`: the context window of a model, from the data of `genai-prices`."""

import asyncio
import contextlib

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
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        return None
    for cloud in (None, "aws", "azure", "google"):  # each cloud has names of its own for models
        with contextlib.suppress(LookupError):
            _, info = get_snapshot().find_provider_model(model, None, cloud, None)
            if info.context_window is not None:
                return info.context_window
    return None
