"""The page of the example, in a real browser, and its script in node."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from fastapi import Body, FastAPI
from fastapi.staticfiles import StaticFiles

from miniagents import InteractionContext, MiniAgent, TextMessage, TextToken, miniagent
from miniagents.errors import RateLimitedError
from miniagents.ext.serving import agent_app, sse
from miniagents.testing import Script, ScriptedModel
from tests.ext.serving.agents import Held, failing, soon
from tests.ext.serving.servers import TOKEN, served

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "service"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NODE = shutil.which("node") or shutil.which("node", path=ROOT / ".venv-clients" / "bin")

in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
in_node = pytest.mark.skipif(NODE is None, reason="there is no node: make clients")

# A browser takes seconds to start where the machine is busy.
pytestmark = [pytest.mark.slow, pytest.mark.real_time, pytest.mark.timeout(120)]

PIECES = ["Two\n", "lines,\r\n", "\r", "\n\n", "a blank one, ", "<b>no HTML</b>", " é😀\u2028", "data: x\n\n"]


class Price(msgspec.Struct):
    article: str
    euros: float


@miniagent
async def speaks(ctx: InteractionContext) -> None:
    async def pieces(_: object) -> AsyncIterator[TextToken]:
        for piece in PIECES:
            yield TextToken(piece)
            await asyncio.sleep(0.01)

    ctx.reply(TextMessage.promise(message_token_streamer=pieces))
    ctx.reply(ScriptedModel.fork(script=Script('{"article": "tea",\n"euros": 3.5}'), output=Price).inquire("Hi"))


@miniagent
async def breaks(ctx: InteractionContext) -> None:
    ctx.reply("So")
    await asyncio.sleep(0.1)
    raise RateLimitedError("later")


@miniagent
async def refuses(ctx: InteractionContext) -> None:
    raise RateLimitedError("later")


@asynccontextmanager
async def page_of(agent: MiniAgent) -> AsyncIterator[str]:
    """The address of the page, with an agent behind it that is asked."""
    agents = agent_app({"agent": agent}, auth=TOKEN, admin_auth=None)
    app = FastAPI(lifespan=agents.lifespan, exception_handlers=agents.exception_handlers)
    app.mount("/ai", agents)

    @app.post("/ask", response_model=None)
    async def ask(question: Annotated[str, Body(embed=True)]) -> Any:
        return sse(agent.inquire(question))

    app.mount("/", StaticFiles(directory=FOLDER))
    async with served(app) as url:
        yield url


class Browser:
    """A headless Chromium with one page, driven by its DevTools protocol over pipes."""

    def __init__(self, process: asyncio.subprocess.Process, orders: Any, answers: asyncio.StreamReader) -> None:
        self.process = process
        self._orders = orders
        self._answers = answers
        self._number = 0

    async def _ask(self, method: str, session: str | None, **params: Any) -> Any:
        self._number += 1
        order = {"id": self._number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        self._orders.write(json.dumps(order).encode() + b"\0")
        self._orders.flush()
        while True:
            answer = json.loads((await self._answers.readuntil(b"\0"))[:-1])
            if answer.get("id") == self._number:
                return answer["result"]

    async def open(self, url: str) -> None:
        target = await self._ask("Target.createTarget", None, url="about:blank")
        attached = await self._ask("Target.attachToTarget", None, targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        await self._ask("Page.navigate", self._session, url=url)

    async def value(self, expression: str) -> Any:
        """What an expression is in the page, once its promise is there."""
        given = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        return (await self._ask("Runtime.evaluate", self._session, **given))["result"].get("value")

    async def wait(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        async with asyncio.timeout(60):
            # Asked again and again, since the page that is there at first is an empty one, in which a condition fails.
            while await self.value(condition) is not True:  # noqa: ASYNC110 - the browser tells nobody
                await asyncio.sleep(0.02)

    async def ended(self) -> str:
        """How it ended, once it has."""
        await self.wait("/answered|failed|stopped/.test(document.body?.dataset.state)")
        state: str = await self.value("document.body.dataset.state")
        return state

    async def texts(self) -> list[str]:
        """What the answer says, part by part."""
        found: list[str] = await self.value(
            "[...document.querySelectorAll('#answer > *')].map((one) => one.textContent)"
        )
        return found


@asynccontextmanager
async def browser(tmp_path: Path, url: str) -> AsyncIterator[Browser]:
    """A browser that has opened a page."""
    (its_orders, orders), (answers, its_answers) = os.pipe(), os.pipe()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
    process = await asyncio.create_subprocess_exec(
        "bash",  # a shell that knows descriptors of two digits
        "-c",
        f'exec "$0" "$@" 3<&{its_orders} 4>&{its_answers}',
        str(CHROMIUM),
        *options,
        f"--user-data-dir={tmp_path}",
        pass_fds=(its_orders, its_answers),
        stderr=subprocess.DEVNULL,
    )
    os.close(its_orders)
    os.close(its_answers)
    reader = asyncio.StreamReader(limit=2**24)
    with os.fdopen(orders, "wb") as writing, os.fdopen(answers, "rb") as reading:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), reading)
        try:
            opened = Browser(process, writing, reader)
            await opened.open(url)
            yield opened
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            transport.close()


async def seen(tmp_path: Path, url: str) -> tuple[str, list[str]]:
    """What the page shows once it has asked: its state, and the texts of the answer."""
    async with browser(tmp_path, url) as page:
        return await page.ended(), await page.texts()


@in_a_browser
async def test_a_browser_shows_an_answer_as_it_was_said(tmp_path: Path) -> None:
    async with page_of(speaks) as url:
        state, texts = await seen(tmp_path, f"{url}/page.html?ask=Hi")

    assert state == "answered"
    assert texts == ["".join(PIECES), '{\n  "article": "tea",\n  "euros": 3.5\n}']


@in_a_browser
@pytest.mark.parametrize(("agent", "said"), [(breaks, ["So"]), (refuses, [])], ids=["in the middle", "at once"])
async def test_a_browser_shows_what_went_wrong(tmp_path: Path, agent: MiniAgent, said: list[str]) -> None:
    async with page_of(agent) as url:
        state, texts = await seen(tmp_path, f"{url}/page.html?ask=Hi")

    assert state == "failed"
    assert texts == [*said, "The model is busy."]


@in_a_browser
async def test_a_browser_that_is_closed_cancels_the_agent(tmp_path: Path) -> None:
    held = Held()
    async with page_of(held.agent) as url, browser(tmp_path, f"{url}/page.html?ask=Hi"):
        async with asyncio.timeout(60):
            await held.waiting.wait()
        assert not held.cancelled.is_set()
    await soon(held.cancelled)


@in_a_browser
async def test_who_presses_stop_cancels_the_agent_and_may_ask_again(tmp_path: Path) -> None:
    held = Held()
    async with page_of(held.agent) as url, browser(tmp_path, f"{url}/page.html?ask=Hi") as page:
        await page.wait("document.querySelector('#answer').textContent === 'begun'")
        await page.value("document.querySelector('#stop').click()")
        assert await page.ended() == "stopped"
        await soon(held.cancelled)
        assert await page.value("document.querySelector('#stop').disabled")

        held.let_go.set()
        await page.value("document.querySelector('form').requestSubmit()")
        assert await page.ended() == "answered"
        assert await page.texts() == ["begun", "done"]


async def run_in_node(script: str, *arguments: str) -> Any:
    """What a script that has imported ours prints, as JSON."""
    code = f"import {{ ask, eventsOf, AgentError }} from {json.dumps((FOLDER / 'events.mjs').as_uri())};\n{script}"
    process = await asyncio.create_subprocess_exec(
        str(NODE), "--input-type=module", "-e", code, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


CUT = """
const bytes = new TextEncoder().encode(process.argv[1]);
const found = [];
for (let size = 1; size <= bytes.length; size++) {
  const pieces = new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
  const events = [];
  for await (const event of eventsOf(pieces)) events.push(event);
  found.push(events);
}
console.log(JSON.stringify(found));
"""


@in_node
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
async def test_it_makes_no_difference_to_the_script_where_the_bytes_are_cut(line_end: str) -> None:
    lines = [": ping", "", "id: 7", "event: token", 'data: {"text": "é😀"}', "", 'data:{"a":', 'data: "b"}', "", ""]

    found = await run_in_node(CUT, line_end.join(lines))

    assert len(found) > 50
    assert all(events == [{"text": "é😀"}, {"a": "b"}] for events in found)


ASK = """
const [url, body, token] = process.argv.slice(1);
const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
const said = { events: [], error: null };
try {
  for await (const event of ask(url, { method: "POST", headers, body })) said.events.push(event);
} catch (error) {
  const { message, code, status } = error;
  said.error = { message, code, status, isOurs: error instanceof AgentError };
}
console.log(JSON.stringify(said));
"""


@in_node
@pytest.mark.parametrize("path", ["/ask", "/ai/agents/agent"])
async def test_the_script_reads_routes_of_ones_own_and_those_of_the_agents(path: str) -> None:
    body = json.dumps({"question": "Hi"} if path == "/ask" else {"messages": "Hi", "stream": True})
    async with page_of(speaks) as url:
        said = await run_in_node(ASK, url + path, body, TOKEN)

    assert said["error"] is None
    kinds = [kind for kind, _ in groupby(event["type"] for event in said["events"])]
    assert kinds == ["open", "token", "message", "token", "message", "end"]
    assert "".join(event["text"] for event in said["events"] if event.get("kind") == "text") == "".join(PIECES)


@in_node
@pytest.mark.parametrize(("agent", "status"), [(breaks, 200), (refuses, 429)], ids=["in the middle", "at once"])
async def test_the_script_raises_what_went_wrong(agent: MiniAgent, status: int) -> None:
    async with page_of(agent) as url:
        said = await run_in_node(ASK, f"{url}/ask", '{"question": "Hi"}', TOKEN)

    expected = {"message": "The model is busy.", "code": "rate_limit_exceeded", "status": status, "isOurs": True}
    assert said["error"] == expected


@in_node
async def test_the_script_raises_what_is_no_error_of_ours_too() -> None:
    async with page_of(failing) as url:
        said = await run_in_node(ASK, f"{url}/nowhere", "{}", TOKEN)

    assert said["error"]["isOurs"]
    assert said["error"]["status"] == 405


@in_node
async def test_the_script_hears_that_a_connection_broke_off() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b'data: {"type": "open"}\n\n'})

    async with served(app, lifespan="off") as url:
        said = await run_in_node(ASK, url, "{}", TOKEN)

    assert [event["type"] for event in said["events"]] == ["open"]
    assert said["error"]["code"] == "broken_off"


@in_node
@pytest.mark.parametrize("way", ["break", "abort"])
async def test_to_leave_the_loop_or_to_abort_cancels_the_agent(way: str) -> None:
    held = Held()
    script = """
    const [url, way] = process.argv.slice(1);
    const call = new AbortController();
    const headers = { "content-type": "application/json" };
    let told = null;
    try {
      const options = { method: "POST", headers, body: '{"question": "Hi"}', signal: call.signal };
      for await (const event of ask(url, options)) {
        if (event.type !== "message") continue;
        if (way === "break") break;
        setTimeout(() => call.abort(), 50);
      }
    } catch (error) {
      told = error.name;
    }
    console.log(JSON.stringify(told));
    setTimeout(() => process.exit(0), 60_000).unref();
    """
    async with page_of(held.agent) as url:
        told = await run_in_node(script, f"{url}/ask", way)
        await soon(held.cancelled)

    assert told == (None if way == "break" else "AbortError")
