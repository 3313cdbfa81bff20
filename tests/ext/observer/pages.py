"""A page in a headless Chromium, driven by Playwright; skipped where something of that is missing."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
DRIVER = Path(__file__).parent / "browser" / "driver.mjs"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NODE = shutil.which("node") or shutil.which("node", path=ROOT / ".venv-clients" / "bin")
IS_INSTALLED = (DRIVER.parent / "node_modules" / "playwright-core").is_dir()

MISSING = [
    reason
    for is_missing, reason in (
        (CHROMIUM is None, "there is no Chromium: apt-get install chromium"),
        (NODE is None, "there is no node: make clients"),
        (not IS_INSTALLED, "Playwright is not installed: make clients"),
    )
    if is_missing
]
in_a_browser = pytest.mark.skipif(bool(MISSING), reason=MISSING[0] if MISSING else "")


class PageError(AssertionError):
    """The browser could not do what a test wanted."""


class Page:
    """One page."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def do(self, method: str, *args: Any) -> Any:
        """Call a method of Playwright's `Page`, or one of the driver's own, and return what it returned."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"method": method, "args": args}).encode() + b"\n")
        answer = json.loads(await self._process.stdout.readline() or b'{"error": "the browser has ended"}')
        if "error" in answer:
            raise PageError(f"{method}{args}: {answer['error']}")
        return answer["value"]

    async def sees(self, selector: str) -> None:
        """Wait until something is in sight."""
        await self.do("waitForSelector", selector)

    async def click(self, selector: str) -> None:
        """Click on the first thing of that kind."""
        await self.do("click", selector)

    async def wait(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        await self.do("waitForFunction", condition)

    async def value(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        return await self.do("evaluate", expression)

    async def go(self, address: str) -> None:
        """Go to a page of the observer, as by a click on a link."""
        await self.value(f"void (location.hash = {json.dumps(address)})")

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        await self.do("press", *keys)


@asynccontextmanager
async def browsing(url: str, **options: Any) -> AsyncIterator[Page]:
    """A page that has opened an address; `options` are those of a context of Playwright."""
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(DRIVER),
        str(CHROMIUM),
        json.dumps(options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=2**24,
    )
    page = Page(process)
    try:
        await page.do("goto", url)
        await page.sees(".fresh-dot[data-state=live]")
        yield page
        complaints = await page.do("complaints")
        if complaints:
            raise PageError(f"the page complains: {complaints}")
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()
