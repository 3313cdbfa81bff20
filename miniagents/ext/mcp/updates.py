"""`Updates`: who waits for changes of which resource, in the era in which servers push them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Updates:
    """The subscriptions to the resources of one server. A change that nobody has looked at yet counts once.

    Example:
        >>> updates = Updates()
        >>> with updates.subscribed("a://b") as subscription:
        ...     updates.changed("a://b")
        ...     subscription.is_due
        True
    """

    def __init__(self) -> None:
        self._subscriptions: dict[str, list[Subscription]] = {}

    @contextmanager
    def subscribed(self, uri: str) -> "Iterator[Subscription]":
        """Subscribe to a resource, as long as the context lasts."""
        subscription = Subscription()
        self._subscriptions.setdefault(uri, []).append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[uri].remove(subscription)
            if not self._subscriptions[uri]:
                del self._subscriptions[uri]

    def is_last(self, uri: str) -> bool:
        """Return whether one subscription, and no more, is to this resource."""
        return len(self._subscriptions.get(uri, ())) == 1

    def changed(self, uri: str) -> None:
        """Note that a resource has changed, or one below it."""
        for subscribed, subscriptions in self._subscriptions.items():
            if uri == subscribed or uri.startswith(f"{subscribed.rstrip('/')}/"):
                for subscription in subscriptions:
                    subscription.wake()

    def end(self) -> None:
        """End all subscriptions, since the connection has ended."""
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.end()


class Subscription:
    """An async iterator over the changes of a resource, which ends with the connection.

    Attributes:
        is_due: Whether there was a change since the last one that was read.
    """

    def __init__(self) -> None:
        self.is_due = False
        self._has_ended = False
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Note a change."""
        self.is_due = True
        self._event.set()

    def end(self) -> None:
        """End the iterator."""
        self._has_ended = True
        self._event.set()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> None:
        await self._event.wait()
        if self._has_ended:
            raise StopAsyncIteration
        self._event.clear()
        self.is_due = False
