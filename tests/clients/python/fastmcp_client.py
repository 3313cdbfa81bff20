"""The client of fastmcp."""

import asyncio
import os
from typing import Any

from common import TOKEN, URL
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport

MAIN = "import sys; from miniagents.cli import main; sys.exit(main())"

_clients: dict[str, Client[Any]] = {}


async def client_of(api: str) -> Client[Any]:
    if api not in _clients:
        root = os.environ["SERVICE_ROOT"]
        arguments = ["-c", MAIN, "mcp", "tests.clients.service:agents"]
        transport: Any = (
            StreamableHttpTransport(f"{URL}/mcp", headers={"Authorization": f"Bearer {TOKEN}"})
            if api == "http"
            else StdioTransport(
                os.environ["SERVICE_PYTHON"], arguments, env={**os.environ, "PYTHONPATH": root}, cwd=root
            )
        )
        _clients[api] = await Client(transport).__aenter__()
    return _clients[api]


async def call(api: str, name: str, message: str, **options: Any) -> Any:
    client = await client_of(api)
    return await client.call_tool(name, {"message": message}, raise_on_error=False, **options)


def content(result: Any) -> list[dict[str, str]]:
    return [{"type": block.type, "text": block.text} for block in result.content]


async def tools(api: str) -> dict[str, str | None]:
    return {tool.name: tool.description for tool in await (await client_of(api)).list_tools()}


async def turns(api: str) -> Any:
    return content(await call(api, "historian", "Hello!"))


async def several(api: str) -> Any:
    return content(await call(api, "talker", "Hello!"))


async def stream(api: str, name: str) -> list[str | None]:
    pieces: list[str | None] = []
    all_here = asyncio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        pieces.append(message)
        if len(pieces) == 3:
            all_here.set()

    calling = asyncio.create_task(call(api, "paced", name, progress_handler=note))
    async with asyncio.timeout(60):
        await all_here.wait()
    await call(api, "release", name)
    await calling
    return pieces


async def failed(api: str) -> Any:
    result = await call(api, "breaking", "Hello!")
    return {"isError": result.is_error, "content": content(result)}


async def cancel(api: str, name: str) -> Any:
    first: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        if not first.done():
            first.set_result(message)

    calling = asyncio.create_task(call(api, "held", name, progress_handler=note))
    await asyncio.wait({calling, first}, return_when=asyncio.FIRST_COMPLETED)
    calling.cancel()
    await asyncio.wait({calling})
    seen = await call(api, "witness", name)
    return {"first": await first, "seen": [block.text for block in seen.content]}


async def close(api: str) -> bool:
    await _clients.pop(api).__aexit__(None, None, None)
    return True
