"""`catalogue`: what `genai-prices` says of models. Its data are those of the installed version, nothing is fetched."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

OWN = frozenset({"scripted", "local"})
"""The providers of `ScriptedModel` and `LocalAgent`, and the names of their models. No catalogue lists them."""

_PLACES = (None, "openrouter", "aws", "azure", "google")
"""The providers that are searched, in order: that of the model itself, then those with names of their own for it."""


class Catalogue:
    """The models that `genai-prices` knows; none if it is not installed.

    Attributes:
        is_loaded: Whether the data were read. They are read once in a process, by the first question at the latest.
    """

    def __init__(self) -> None:
        self.is_loaded = False

    async def load(self) -> None:
        """Read the data in a thread, since their import takes a third of a second."""
        await asyncio.to_thread(self.entries, "")

    def entries(self, model: str) -> Iterator[Any]:
        """Return the entries of a model, the most fitting one first.

        Args:
            model: The provider's name of the model, also an alias or one with a date.

        Returns:
            Each a `genai_prices.types.ModelInfo`; none if the model is not known. The next one is searched when it is
            asked for, since a search takes a tenth of a millisecond.
        """
        try:
            from genai_prices.data_snapshot import get_snapshot
        except ImportError:
            self.is_loaded = True
            return iter(())
        snapshot = get_snapshot()
        self.is_loaded = True
        return _search(snapshot, model) if model else iter(())


def _search(snapshot: Any, model: str) -> Iterator[Any]:
    for place in _PLACES:
        with contextlib.suppress(LookupError):
            _, entry = snapshot.find_provider_model(model, None, place, None)
            yield entry


catalogue = Catalogue()
"""The catalogue of this process."""
