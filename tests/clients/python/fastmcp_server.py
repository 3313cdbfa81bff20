"""A server of fastmcp, over standard input and output, or over HTTP at a port."""

import sys

from fastmcp import FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.utilities.types import Image

server: FastMCP = FastMCP("shop")


@server.tool
async def price(article: str) -> dict[str, float]:
    """Says what an article costs."""
    if article != "tea":
        raise ToolError(f"there is no {article}")
    return {"price": 2.5}


@server.tool
def picture() -> Image:
    """Shows the shop."""
    return Image(data=b"GIF", format="gif")


@server.resource("shop://hours")
def hours() -> str:
    """When the shop is open."""
    return "Monday to Friday"


@server.prompt
def advertise(article: str) -> str:
    """Praises an article."""
    return f"Praise {article}."


if len(sys.argv) > 1:
    server.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False)
else:
    server.run(transport="stdio", show_banner=False)
