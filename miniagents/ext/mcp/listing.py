"""`all_pages`: a whole list of a server."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from miniagents.log import log as _log

_MOST_PAGES = 1000


class _Page(Protocol):
    @property
    def next_cursor(self) -> str | None: ...


PageT = TypeVar("PageT", bound=_Page)


async def all_pages(server: str, fetch: Callable[[str | None], Awaitable[PageT]]) -> list[PageT]:
    """Read all pages of a list.

    A list whose pages lead in a circle, or that has more than 1,000, ends there, with a warning.

    Args:
        server: The name of the server, for the log.
        fetch: Fetches the page at a cursor; None is the first one.

    Raises:
        MCPError: The server refused.
    """
    pages: list[PageT] = []
    seen: set[str] = set()
    cursor: str | None = None
    while True:
        page = await fetch(cursor)
        pages.append(page)
        cursor = page.next_cursor
        if cursor is None:
            return pages
        if cursor in seen or len(pages) >= _MOST_PAGES:
            _log.warning("mcp.endless_list", server=server, pages=len(pages))
            return pages
        seen.add(cursor)
