"""The page of a recording in a real browser."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from miniagents import Actor, ChildSpec, InteractionContext, MiniAgents, OneForOne, Supervisor, TextMessage, miniagent
from miniagents.ext.observer import WebObserver, replay
from tests.ext.observer.pages import browsing, in_a_browser

# A browser takes seconds to start where the machine is busy.
pytestmark = [pytest.mark.slow, pytest.mark.real_time, pytest.mark.timeout(180), in_a_browser]


class Faulty(Actor):
    async def receive(self, message: Any, ctx: Any) -> TextMessage:
        raise ValueError("could not read it")


@miniagent
async def answerer(ctx: InteractionContext) -> None:
    ctx.reply("done")


async def frames(observer: WebObserver, more: int) -> None:
    """Wait until so many more seconds are in the recording."""
    recorder = observer.recorder_to_file
    assert recorder is not None
    until = recorder.frames + more
    async with asyncio.timeout(60):
        while recorder.frames < until:  # noqa: ASYNC110 - it has no event for that
            await asyncio.sleep(0.05)


async def test_a_recording_is_played_with_its_slider_without_the_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.mar"
    observer = WebObserver(opens=False, record=path, record_texts="full")
    async with MiniAgents(observers=[observer]) as system:
        strategy = OneForOne(max_restarts=9)
        await system.supervise(Supervisor("shelves", strategy=strategy, children=[ChildSpec("faulty", Faulty)]))
        await frames(observer, 2)
        await answerer.inquire("what is it?")
        faulty = system.lookup("/shelves/faulty")
        assert faulty is not None
        with pytest.raises(ValueError, match="could not"):
            await faulty.ask(TextMessage("x"))
        await frames(observer, 2)
    playing = asyncio.create_task(replay(path))
    link = ""
    async with asyncio.timeout(60):
        while not link:
            await asyncio.sleep(0.05)
            found = re.search(r"http://\S+token=\S+", capsys.readouterr().err)
            link = found[0] if found else ""
    try:
        async with browsing(link, viewport={"width": 1440, "height": 900}) as page:
            slider = 'input[aria-label="Time of the recording"]'
            await page.sees(slider)
            await page.sees(".happening:has-text('could not read it')")
            await page.value(
                f"(() => {{ const s = document.querySelector('{slider}'); s.value = s.min; "
                "s.dispatchEvent(new Event('input', { bubbles: true })); })()"
            )
            await page.sees("text=No agent was called yet")
            await page.sees("text=No failure, no restart")
            await page.click('button[aria-label="Play"]')
            await page.sees(".happening:has-text('could not read it')")
            await page.click(".row.call")
            await page.sees(".span:has-text('answerer')")
            await page.sees(".text pre:has-text('what is it?')")
            await page.go("#/agents/shelves/faulty")
            await page.sees(".bad-card pre:has-text('could not read it')")
            assert await page.value("document.querySelectorAll('.detail-head button').length") == 0, "no actions"
            assert await page.do("axe") == []
    finally:
        playing.cancel()
        await asyncio.wait({playing})
