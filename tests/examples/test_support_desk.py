"""The support desk among the examples: as its reader runs it, and over HTTP."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from examples.support_desk.app import make_app

ROOT = Path(__file__).parents[2]
STAFF = {"authorization": "Bearer token-of-the-staff"}
APPROVER = {"authorization": "Bearer token-of-the-approver"}

pytestmark = pytest.mark.real_time


@pytest.fixture(autouse=True)
def tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIAGENTS_TOKEN", "token-of-the-staff")
    monkeypatch.setenv("MINIAGENTS_ADMIN_TOKEN", "token-of-the-approver")


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the desk, which runs meanwhile."""
    app = make_app(str(folder / "desk.db"))
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


async def answer_of(client: httpx2.AsyncClient, path: str, field: str, **options: Any) -> Any:
    """The field of an answer, once it says something."""
    async with asyncio.timeout(30):
        while True:
            said = (await client.get(path, **options)).raise_for_status().json()[field]
            if said:
                return said
            await asyncio.sleep(0.01)


def test_it_plays_a_customer_and_an_approver_with_a_restart_in_between() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MODEL"}
    done = subprocess.run(
        [sys.executable, "-m", "examples.support_desk"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines() == [
        "-- monday",
        "customer: Where is order 18?",
        "customer: Order 17 is broken, I want my money back.",
        "desk: Order 18: a pound of coffee, 8.50 euros, delivered.",
        "waits for a human: Refund 24.00 euros for order 17? The customer says: Order 17 is broken, I want my money "
        "back.",
        "-- friday",
        "human: yes",
        "the bank pays 24.00 euros for order 17 (key of 28 letters)",
        "desk: 24.00 euros are on their way.",
    ]


async def test_a_refund_that_is_refused_is_not_paid_and_the_customer_hears_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk(tmp_path) as client:
        opened = await client.post("/tickets", json={"question": "I want my money back for order 17."})
        assert (opened.status_code, opened.json()) == (202, {"ticket": 1})
        ((wait),) = await answer_of(client, "/desk/waits", "waits", headers=APPROVER)
        answer = {"job": "ticket-1", "wait": wait["name"], "message": "it was broken on Monday"}
        assert (await client.post("/desk/waits", json=answer, headers=APPROVER)).status_code == 200

        said = await answer_of(client, "/tickets/1", "answer")

        assert said == "I am sorry, no refund: it was broken on Monday."
        assert (await client.post("/desk/waits", json=answer, headers=APPROVER)).status_code == 409
    assert "the bank pays" not in capsys.readouterr().out


async def test_customers_see_no_approvals_and_no_ticket_that_there_is_not(tmp_path: Path) -> None:
    async with desk(tmp_path) as client:
        assert (await client.get("/tickets/1")).status_code == 404

        await client.post("/tickets", json={"question": "I want my money back for order 17."})
        await answer_of(client, "/desk/waits", "waits", headers=APPROVER)

        answer = {"job": "ticket-1", "wait": "refund", "message": "yes"}
        assert (await client.post("/desk/waits", json=answer)).status_code == 401
        assert (await client.post("/desk/waits", json=answer, headers=STAFF)).status_code == 404
        assert (await client.get("/desk/waits", headers=STAFF)).json() == {"waits": []}
        assert (await client.get("/tickets/1")).json()["answer"] is None
