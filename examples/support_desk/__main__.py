"""Plays a customer, and the human who approves, over HTTP; the service is stopped and started again in between."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import httpx2

from examples.support_desk.app import make_app

TOKEN = "the-token-of-the-approver"


async def monday(client: httpx2.AsyncClient) -> None:
    """Two customers ask."""
    for question in ("Where is order 18?", "Order 17 is broken, I want my money back."):
        print(f"customer: {question}")
        await client.post("/tickets", json={"question": question})
    print(f"desk: {(await until(client, '/tickets/1', 'answer'))['answer']}")
    waits = (await until(client, "/desk/waits", "waits"))["waits"]
    print(f"waits for a human: {waits[0]['prompt']}")


async def friday(client: httpx2.AsyncClient) -> None:
    """A human approves what has waited since Monday."""
    (wait,) = (await until(client, "/desk/waits", "waits"))["waits"]
    print("human: yes")
    await client.post("/desk/waits", json={"job": wait["job"], "wait": wait["id"], "message": "yes"})
    print(f"desk: {(await until(client, '/tickets/2', 'answer'))['answer']}")


async def until(client: httpx2.AsyncClient, path: str, field: str) -> dict[str, Any]:
    """Ask again until a field of the answer says something, as a page that refreshes itself does."""
    while True:
        answer: dict[str, Any] = (await client.get(path)).raise_for_status().json()
        if answer[field]:
            return answer
        await asyncio.sleep(0.02)


async def main() -> None:
    os.environ.update(MINIAGENTS_TOKEN="the-token-of-the-staff", MINIAGENTS_ADMIN_TOKEN=TOKEN)
    with tempfile.TemporaryDirectory() as folder:
        for day in (monday, friday):
            app = make_app(str(Path(folder) / "desk.db"))  # as another process would
            headers = {"Authorization": f"Bearer {TOKEN}"}
            transport = httpx2.ASGITransport(app=app)
            async with (
                app.router.lifespan_context(app),
                httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client,
            ):
                print(f"-- {day.__name__}")
                await day(client)


if __name__ == "__main__":
    asyncio.run(main())
