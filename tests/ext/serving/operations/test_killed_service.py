"""Real services that are killed while their agents wait for answers, and are started again, with changed code, too."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from miniagents.testing import Call, Exchange, FakeProvider, Reply

pytestmark = [pytest.mark.real_time, pytest.mark.slow, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[4]

SERVICE = """
    import asyncio, os
    from pathlib import Path
    from miniagents import MiniAgents, miniagent
    from miniagents.ext.llms import OpenAIAgent
    from miniagents.ext.serving import agent_app
    from miniagents.journal import SqliteJournal

    def note(line):
        with Path("notes.txt").open("a") as notes:
            print(line, file=notes)

    @miniagent
    async def drafter(ctx):
        note("drafted")
        ctx.reply("draft of {drafter}")

    @miniagent
    async def reviewer(ctx):
        text = str(await ctx.message_promises)
        answer = await ctx.wait_for("approval", prompt="Publish it?")
        ctx.reply(f"{reviewer} of {{text}}: {{answer}}")

    @miniagent
    async def publisher(ctx):
        review = await reviewer.inquire(drafter.inquire())
        ctx.reply(f"{publisher} of {{review}}")

    def pay(to: str) -> str:
        "Pay somebody."
        note(f"paid {{to}}")
        return f"paid {{to}}"

    @miniagent
    async def clerk(ctx):
        model = OpenAIAgent.fork(model="m", base_url=os.environ["URL"], api_key="key", tools=[pay], approve="wait")
        ctx.reply(str((await model.inquire("Pay them."))[-1]))

    jobs = {{"publisher": publisher, "clerk": clerk}}

    async def run(mini, name):
        note(f"result: {{await mini.run_job(name, jobs[name])}}")

    async def start(mini):
        if name := os.environ.get("JOB"):
            mini.start_soon(run(mini, name))

    system = MiniAgents(journal=SqliteJournal("service.db"), durable_agents=True)
    tokens = {{"auth": {{"ann": "a-token"}}, "admin_auth": {{"root": "the-admin"}}}}
    app = agent_app(publisher, system=system, on_start=start, grace=1, **tokens)
"""


class Service:
    """A service in a folder of its own. Its code is in versions, which differ in the replies of its agents."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.versions = dict.fromkeys(("drafter", "reviewer", "publisher"), "v1")

    @contextlib.contextmanager
    def running(self, ending: signal.Signals = signal.SIGKILL, **environment: str) -> Iterator[httpx2.Client]:
        """Run the service, and send it a signal at the end."""
        names = {name: f"{name} {version}" for name, version in self.versions.items()}
        (self.folder / "approving.py").write_text(textwrap.dedent(SERVICE).format(**names))
        command = [
            sys.executable,
            "-m",
            "miniagents.ext.serving.command",
            "approving:app",
            "--port",
            "0",
            "--grace",
            "1",
        ]
        variables = {**os.environ, "PYTHONPATH": f"{ROOT}:{self.folder}", **environment}
        with subprocess.Popen(command, cwd=self.folder, env=variables, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                line = next(line for line in process.stderr if "running on" in line)
                url = line.split("running on ")[1].split(" ")[0]
                headers = {"authorization": "Bearer the-admin"}
                with httpx2.Client(base_url=url, headers=headers, timeout=30) as client:
                    yield client
            finally:
                process.send_signal(ending)
                process.communicate(timeout=30)

    def notes(self) -> list[str]:
        path = self.folder / "notes.txt"
        return path.read_text().splitlines() if path.exists() else []

    def result(self) -> str:
        """Wait for the result of the job."""
        for _ in range(1000):
            for line in self.notes():
                if line.startswith("result: "):
                    return line.removeprefix("result: ")
            time.sleep(0.02)
        raise AssertionError("the job did not end")


def waits_of(client: httpx2.Client, count: int = 1, old: str = "") -> list[dict[str, Any]]:
    """Wait until so many answers are waited for, none of them under an old id, and return what waits."""
    for _ in range(1000):
        answer = client.get("/waits")
        assert answer.status_code == 200
        waits: list[dict[str, Any]] = answer.json()["waits"]
        if len(waits) == count and old not in [wait["id"] for wait in waits]:
            return waits
        time.sleep(0.02)
    raise AssertionError(f"{len(waits)} wait, and not {count}")


def give(client: httpx2.Client, job: str, wait: str, message: Any) -> httpx2.Response:
    return client.post("/waits", json={"job": job, "wait": wait, "message": message})


@pytest.mark.parametrize("answered", ["before the change", "after the change"])
@pytest.mark.parametrize("changed", [None, "drafter", "reviewer", "publisher"])
def test_an_approval_waits_across_a_kill_and_a_change_of_the_code_and_is_answered_over_http(
    changed: str | None, answered: str, tmp_path: Path
) -> None:
    service = Service(tmp_path)
    with service.running(JOB="publisher") as client:
        (wait,) = waits_of(client)
        assert (wait["job"], wait["name"], wait["prompt"]) == ("publisher", "approval", "Publish it?")
        stranger = {"authorization": "Bearer a-token"}
        assert client.get("/waits", headers=stranger).json() == {"waits": []}
    if answered == "before the change":  # while nothing of the job runs
        with service.running(signal.SIGTERM) as client:
            assert waits_of(client) == [wait]
            assert give(client, "publisher", "approval", "yes").json() == {"id": wait["id"]}
            second = give(client, "publisher", "approval", "no")
            assert (second.status_code, second.json()["error"]["code"]) == (409, "taken")
            assert "given by 'root'" in second.json()["error"]["message"]
    if changed is not None:
        service.versions[changed] = "v2"
    with service.running(JOB="publisher") as client:
        if answered == "after the change" or changed == "drafter":  # another draft is asked for again
            waits_of(client, old=wait["id"] if changed is not None else "")
            assert give(client, "publisher", "approval", "yes").status_code == 200
        result = service.result()
        assert client.get("/waits").json() == {"waits": []}

    drafter, reviewer, publisher = (f"{name} {version}" for name, version in service.versions.items())
    assert result == f"{publisher} of {reviewer} of draft of {drafter}: yes"
    assert service.notes().count("drafted") == (2 if changed in ("drafter", "publisher") else 1)


def answer(exchange: Exchange) -> Reply:
    """Want to pay three people in one turn, and say how it went."""
    results = [message["content"] for message in exchange.body["messages"] if message["role"] == "tool"]
    if results:
        return Reply("; ".join(results))
    return Reply(calls=tuple(Call("pay", {"to": name}, id=f"call-{name}") for name in ("ann", "bob", "eve")))


def test_three_approvals_of_one_turn_are_answered_out_of_order_over_http_and_each_in_a_life_of_its_own(
    tmp_path: Path,
) -> None:
    service = Service(tmp_path)

    def wait_for(client: httpx2.Client, name: str, count: int) -> str:
        (wait,) = [wait for wait in waits_of(client, count) if name in wait["prompt"]]
        return str(wait["id"])

    with FakeProvider(answer) as provider:
        with service.running(JOB="clerk", URL=provider.openai_url) as client:
            assert give(client, "clerk", wait_for(client, "eve", 3), "yes").status_code == 200
        with service.running(signal.SIGTERM, JOB="clerk", URL=provider.openai_url) as client:
            assert give(client, "clerk", wait_for(client, "ann", 2), "not to her").status_code == 200
        with service.running(JOB="clerk", URL=provider.openai_url) as client:
            bob = wait_for(client, "bob", 1)
            assert give(client, "clerk", bob, {"data": {"approved": True}}).status_code == 200
            assert service.result() == "failed: not approved: not to her; paid bob; paid eve"

        assert len(provider.exchanges) == 2
    paid = [line for line in service.notes() if line.startswith("paid")]
    assert set(paid) == {"paid bob", "paid eve"}
    assert paid.count("paid bob") == 1
