"""Resources and prompts of a server, as our messages."""

import asyncio
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

from mcp import Client, MCPError
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from miniagents.errors import McpUnavailableError
from miniagents.ext.mcp.link import Link
from miniagents.ext.mcp.listing import all_pages
from miniagents.ext.mcp.results import resource_message, said
from miniagents.messages import Message, Messages
from miniagents.supervision import Backoff

_SUBSCRIBE_AGAIN = Backoff(first=0.5, maximum=60.0)


class ResourceMessage(Message):
    """A resource that a server has; `McpServer.read` reads it.

    Attributes:
        uri: The address of the resource at the server; of a template, the pattern of the addresses.
        name: The name.
        description: The description, or None.
        media_type: The media type, or None.
        is_template: Whether `uri` is a pattern, in which names in braces are to be filled.

    Example:
        >>> print(ResourceMessage(uri="notes://all", name="everything", description="All notes."))
        notes://all (everything): All notes.
    """

    uri: str
    name: str
    description: str | None = None
    media_type: str | None = None
    is_template: bool = False

    def __str__(self) -> str:
        return f"{self.uri} ({self.name})" + (f": {self.description}" if self.description else "")


async def resources_of(link: Link) -> list[ResourceMessage]:
    """Return all resources of a server, and then its templates; see `Link.request` for exceptions."""

    async def fetch(client: Client) -> list[ResourceMessage]:
        if client.server_capabilities.resources is None:
            return []
        pages = await all_pages(link.name, lambda cursor: client.list_resources(cursor=cursor))
        resources = [
            ResourceMessage(
                uri=str(item.uri), name=item.title or item.name, description=item.description, media_type=item.mime_type
            )
            for page in pages
            for item in page.resources
        ]
        patterns = await all_pages(link.name, lambda cursor: client.list_resource_templates(cursor=cursor))
        return resources + [
            ResourceMessage(
                uri=item.uri_template,
                name=item.title or item.name,
                description=item.description,
                media_type=item.mime_type,
                is_template=True,
            )
            for page in patterns
            for item in page.resource_templates
        ]

    return await link.request(fetch, may_repeat=lambda: True)


async def contents_of(link: Link, uri: str) -> Messages:
    """Return the contents of a resource; see `Link.request` for exceptions."""
    result = await link.request(lambda client: client.read_resource(uri), may_repeat=lambda: True)
    return Messages(resource_message(content) for content in result.contents)


async def prompt_of(link: Link, name: str, arguments: Mapping[str, str]) -> Messages:
    """Return the messages of a prompt; see `Link.request` for exceptions."""
    result = await link.request(lambda client: client.get_prompt(name, dict(arguments)), may_repeat=lambda: True)
    return Messages(said(message.content, message.role) for message in result.messages)


async def versions_of(link: Link, uri: str) -> AsyncGenerator[Messages, None]:
    """Yield the contents of a resource now, and again after each change.

    After a connection that broke off, the contents are read again. They may be the same.

    Raises:
        McpUnavailableError: The server was stopped.
        McpError: The server refused.
    """
    with link.uses:
        failures = 0
        while True:
            client = await link.connected()
            try:
                async with _changes(link, client, uri) as changes:
                    failures = 0
                    yield await contents_of(link, uri)
                    async for _ in changes:
                        yield await contents_of(link, uri)
            except SubscriptionLost:
                pass
            except MCPError as error:
                if client is link.client:
                    raise link.explained(error, client) from error
            except McpUnavailableError:
                pass
            await asyncio.sleep(_SUBSCRIBE_AGAIN.delay(failures, lambda: 0.5))
            failures += 1


@asynccontextmanager
async def _changes(link: Link, client: Client, uri: str) -> AsyncGenerator[AsyncIterator[object], None]:
    """Subscribe to a resource, in the way of the era; the iterator ends with the connection."""
    if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
        async with client.listen(resource_subscriptions=[uri]) as events:
            yield events
        return
    with link.updates.subscribed(uri) as updates:
        await _old_request(client, uri, is_wanted=True)
        try:
            yield updates
        finally:
            if client is link.client and link.updates.is_last(uri):
                await _old_request(client, uri, is_wanted=False)


async def _old_request(client: Client, uri: str, *, is_wanted: bool) -> None:
    with warnings.catch_warnings():  # the SDK warns of what the new era has not; the coroutine itself does not
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        session = client.session
        request = session.subscribe_resource(uri) if is_wanted else session.unsubscribe_resource(uri)
    await request
