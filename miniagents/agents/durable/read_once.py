"""`ReadOnce`: the base of what is read from the journal when it is first asked for."""

import asyncio


class ReadOnce:
    """Something that is read from the journal once, however many ask for it at the same time.

    A subclass reads it in `_load`, and sets `_is_loaded` there.

    Args:
        is_loaded: Whether nothing is to be read.
    """

    __slots__ = ("_is_loaded", "_loading")

    def __init__(self, *, is_loaded: bool) -> None:
        self._is_loaded = is_loaded
        self._loading: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Read it, if that was not done. What has failed is tried again by the reader that comes next.

        Raises:
            JournalError: The journal cannot be read.
        """
        while not self._is_loaded:
            if self._loading is None:
                self._loading = asyncio.get_running_loop().create_task(self._load())
            loading = self._loading
            try:
                await asyncio.shield(loading)
            finally:
                if loading.done() and self._loading is loading:
                    self._loading = None

    async def _load(self) -> None:
        raise NotImplementedError
