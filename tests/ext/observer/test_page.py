"""The page in a real browser, with systems at work behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from examples.research_swarm.swarm import Swarm
from miniagents import (
    Actor,
    InteractionContext,
    MiniAgents,
    OneForOne,
    PromiseCancelledError,
    TextMessage,
    TextToken,
    miniagent,
)
from miniagents.ext.observer import WebObserver
from miniagents.testing import Script, ScriptedModel
from tests.ext.observer.observed import Learner, sleeper
from tests.ext.observer.pages import browsing, in_a_browser

DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"

# A browser takes seconds to start where the machine is busy.
pytestmark = [pytest.mark.slow, pytest.mark.real_time, pytest.mark.timeout(180), in_a_browser]

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


class Faulty(Actor):
    async def receive(self, message: Any, ctx: Any) -> TextMessage:
        if str(message) == "fail":
            raise ValueError(f"could not read {EVIL} \x1b[31m")
        return TextMessage("done")


@miniagent
async def caller(ctx: InteractionContext) -> None:
    ctx.reply([sleeper.inquire(), sleeper.inquire()])
    await asyncio.Event().wait()


@miniagent
async def speaker(ctx: InteractionContext) -> None:
    async def tokens(_: object) -> AsyncIterator[TextToken]:
        yield TextToken("said")

    ctx.reply(TextMessage.promise(message_token_streamer=tokens))


@miniagent
async def asks(ctx: InteractionContext) -> None:
    ctx.reply(f"said {await ctx.wait_for('approval', prompt='May I send it?')}")


@asynccontextmanager
async def system_in_sight(**options: Any) -> AsyncIterator[tuple[MiniAgents, WebObserver]]:
    observer = WebObserver(**options)
    async with MiniAgents(name="swarm", observers=[observer]) as system:
        yield system, observer


async def test_the_swarm_is_seen_live_while_chaos_reigns() -> None:
    lines: list[str] = []
    model = ScriptedModel.fork(script=Script("How deep is the lake?", "The lake is 210 metres deep."))
    async with system_in_sight() as (system, observer), browsing(observer.new_link()) as page:
        swarm = Swarm(system, str(DOCUMENTS), model, 0.3, lines.append)
        await swarm.start()
        await swarm.answer("How deep is the lake?")
        figures = await swarm.finish()

        await page.go("#/agents")
        await page.sees("[role=treeitem]:has-text('readers')")
        await page.sees("[role=treeitem]:has-text('searchers')")
        await page.go("#/timeline")
        if figures.crashes:
            await page.sees(".happening em[data-kind=crash]")
        await page.go("#/interactions")
        await page.click(".row.call:has-text('researcher')")
        await page.sees(".span:has-text('reader')")
        await page.sees(".causes li")
        assert await page.value("document.querySelectorAll('.span').length") > 3
        urls = await page.do("requests")

    assert all(url.startswith(observer_url(url)) for url in urls)
    assert not any("token=" in url for url in urls[1:])


def observer_url(url: str) -> str:
    """Addresses of the page lead to this machine alone."""
    return "data:" if url.startswith("data:") else "http://127.0.0.1:"


async def test_a_restart_is_seen_as_it_happens_and_names_of_scripts_do_nothing() -> None:
    async with system_in_sight() as (system, observer), browsing(observer.new_link()) as page:
        pool = await system.pool(Faulty, size=3, name="readers", strategy=OneForOne(max_restarts=None))
        evil = system.spawn(Faulty, name="<img src=x onerror=alert(3)>")
        await page.go("#/agents")
        await page.click("[role=treeitem]:has-text('readers') .fold")
        await page.sees("[role=treeitem]:has-text('Faulty') >> nth=2")

        pool.tell(TextMessage("fail"))

        await page.sees("[role=treeitem]:has-text('1↻')")
        await page.sees(".err:has-text('could not read <script>alert(1)</script>')")
        await page.sees("[role=treeitem]:has-text('<img src=x onerror=alert(3)>')")
        await page.go("#/agents/readers/1")
        await page.sees(".bad-card pre:has-text('ValueError: could not read')")
        await page.go("#/timeline")
        await page.sees(".happening:has-text('/readers/1')")
        await page.press("/")
        await page.do("fill", ".search input", "<SCRIPT>ALERT")
        await page.sees(".found mark")
        assert await page.value("document.querySelectorAll('main img, main script, .veil img').length") == 0
        assert evil.is_alive


async def test_an_interaction_is_opened_and_cancelled_with_all_below_it() -> None:
    async with system_in_sight() as (system, observer), browsing(observer.new_link()) as page:
        replies = caller.inquire("Sleep!")
        await page.go("#/interactions")
        await page.click(".row.call:has-text('caller')")
        await page.sees(".span:has-text('sleeper') >> nth=1")
        assert len(system.interactions()) == 3

        await page.click(".detail button:has-text('Cancel')")
        await page.sees(".sure:has-text('2 calls below it?')")
        await page.click(".sure button:has-text('Yes')")

        with pytest.raises(PromiseCancelledError):
            await replies
        await page.sees(".detail-head .state[data-state=cancelled]")
        await page.wait("document.querySelectorAll('.span[data-status=cancelled]').length === 3")
        assert system.interactions() == ()
        await page.go("#/timeline")
        await page.sees(".happening em[data-kind=action]")


async def test_a_dead_letter_is_sent_again_and_an_approval_answered() -> None:
    async with system_in_sight() as (system, observer), browsing(observer.new_link()) as page:
        full = system.spawn(Faulty, name="late")
        await full.stop()
        full.tell(TextMessage("are you there?"))
        replies = asks.inquire()
        await page.go("#/letters")
        await page.sees(".letter:has-text('are you there?') button:disabled")
        await page.click(".letter button:has-text('Drop')")
        await page.sees(".empty:has-text('Every message has reached somebody')")

        await page.do("hover", "h1")  # under the pointer nothing would move
        learner = system.spawn(Learner, name="learner")
        learner.tell(TextMessage("too early"))
        await learner.ask(TextMessage("learn"))
        await page.click(".letter:has-text('too early') button:has-text('Send again')")
        await page.sees(".notices p:has-text('1 of 1 dead letters were accepted')")
        await page.sees(".empty:has-text('Every message has reached somebody')")
        assert len(system.dead_letters) == 0
        assert system.dead_letters.total == 2

        await page.go("#/jobs")
        await page.sees(".wait pre:has-text('May I send it?')")
        await page.do("fill", ".answer input", "yes, do")
        await page.press("Enter")

        assert str(await replies) == "said yes, do"
        await page.sees(".empty:has-text('Nothing waits for you')")


async def test_read_only_shows_no_action() -> None:
    async with system_in_sight(actions=False) as (system, observer), browsing(observer.new_link()) as page:
        ref = system.spawn(Faulty, name="one")
        await ref.stop()
        ref.tell(TextMessage("late"))
        system.spawn(Faulty, name="two")
        replies = caller.inquire()
        await page.sees("header .chip:has-text('read only')")
        await page.go("#/agents/two")
        await page.sees(".facts")
        assert await page.value("document.querySelectorAll('.detail button').length") == 0
        await page.go("#/letters")
        await page.sees(".letter")
        assert await page.value("document.querySelectorAll('.letter button, .letter input').length") == 0
        await page.go("#/interactions")
        await page.click(".row.call")
        await page.sees(".span:has-text('sleeper')")
        assert await page.value("document.querySelectorAll('.detail-head button').length") == 0
        (top, *_) = system.interactions()
        await top.cancel()
        replies.mark_seen()


async def test_everything_is_reached_by_keys_alone() -> None:
    async with system_in_sight() as (system, observer), browsing(observer.new_link()) as page:
        await system.pool(Faulty, size=2, name="readers")
        await speaker.inquire("Speak!")
        await page.press("2")
        await page.sees("[role=treeitem]:has-text('readers')")
        await page.do("focus", "[role=tree]")
        await page.press("Home", "ArrowDown", "ArrowRight")
        await page.sees("[role=treeitem][aria-level='3']")
        await page.press("ArrowDown", "Enter")
        await page.sees(".detail h2:has-text('/readers/1')")

        await page.press("3")
        await page.sees(".row.call")
        await page.do("focus", ".row.call")
        await page.press("Enter")
        await page.sees(".waterfall [role=treeitem]")

        await page.press("/")
        await page.sees(".search input:focus")
        await page.do("fill", ".search input", "speak")
        await page.sees(".found .row")
        await page.press("ArrowDown", "Escape")
        await page.wait("!document.querySelector('.search')")

        await page.press("p")
        await page.sees(".fresh-dot[data-state=paused]")
        await page.press("p", "t")
        await page.sees(".fresh-dot[data-state=live]")
        await page.press("?")
        await page.sees("[role=dialog] kbd")


async def test_rows_do_not_move_under_the_pointer_until_it_leaves_or_wants_to_see_what_is_new() -> None:
    async with system_in_sight() as (_, observer), browsing(observer.new_link()) as page:
        await speaker.inquire("first")
        await page.go("#/interactions")
        await page.sees(".row.call:has-text('first')")
        await page.do("hover", ".row.call")
        frames = "import('./static/store.js').then((store) => store.frameCount())"
        settled = await page.value(frames) + 3  # the list has its size, and looks at its window
        while await page.value(frames) < settled:  # noqa: ASYNC110 - the browser tells nobody
            await asyncio.sleep(0.1)
        await speaker.inquire("second")

        await page.sees("button.fresh:has-text('1 new')")
        assert await page.value("document.querySelectorAll('.row.call').length") == 1
        await page.click("button.fresh")
        await page.sees(".row.call:has-text('second')")


async def test_what_is_open_stays_while_the_connection_heals_and_another_process_is_announced() -> None:
    async with system_in_sight() as (system, observer), browsing(observer.new_link()) as page:
        system.spawn(Faulty, name="one")
        await page.go("#/agents/one")
        await page.sees(".detail h2:has-text('/one')")

        observer.app.boot = "another"
        await page.value("import('./static/store.js').then((store) => store.reconnect())")

        await page.sees(".notices p:has-text('A new process is behind this address')")
        await page.sees(".detail h2:has-text('/one')")
        assert await page.value("location.hash") == "#/agents/one"


async def test_a_link_works_once_and_its_token_stays_nowhere_while_two_tabs_are_live_at_once() -> None:
    async with system_in_sight() as (system, observer):
        link = observer.new_link()
        token = link.partition("token=")[2]
        async with browsing(link) as page:
            assert await page.value("location.href") == link.partition("?")[0]
            assert await page.value("document.referrer + document.cookie") == ""
            assert token not in await page.value("JSON.stringify({...localStorage, ...sessionStorage})")
            async with httpx2.AsyncClient() as other:
                assert (await other.get(link)).status_code == 401

            await page.do("tab")
            await page.do("goto", link.partition("?")[0] + "#/agents")
            await page.sees(".fresh-dot[data-state=live]")
            await page.do("goBack")
            assert token not in await page.do("url")
            await page.do("goForward")
            await page.do("tab", 0)
            await page.do("goBack")
            assert token not in await page.do("url")
            await page.do("goForward")
            await page.go("#/agents")
            system.spawn(Faulty, name="newcomer")
            for tab in (0, 1):
                await page.do("tab", tab)
                await page.sees("[role=treeitem]:has-text('newcomer')")
                await page.sees(".fresh-dot[data-state=live]")


@pytest.mark.parametrize(("width", "theme"), [(1440, "dark"), (390, "light")])
async def test_every_page_fits_and_axe_finds_nothing_serious_and_nothing_moves(width: int, theme: str) -> None:
    options = {"viewport": {"width": width, "height": 820}, "colorScheme": theme, "reducedMotion": "reduce"}
    async with system_in_sight() as (system, observer), browsing(observer.new_link(), **options) as page:
        pool = await system.pool(Faulty, size=3, name="readers", strategy=OneForOne(max_restarts=None))
        pool.tell(TextMessage("fail"))
        gone = system.spawn(Faulty, name="gone")
        await gone.stop()
        gone.tell(TextMessage("late"))
        waiting = asks.inquire()
        await speaker.inquire("Speak!")
        faults: list[str] = []
        (spoken,) = [record for record in observer.records.values() if record.alias == "speaker"]
        for address, shown in (
            ("#/overview", ".tile"),
            ("#/agents", "[role=treeitem]:has-text('readers')"),
            ("#/agents/readers/1", ".facts"),
            ("#/agents/gone", ".tombstone"),
            (f"#/interactions/{spoken.id}", ".waterfall [role=treeitem]"),
            ("#/timeline", ".happening"),
            ("#/limits", "h1"),
            ("#/jobs", ".wait"),
            ("#/letters", ".letter"),
        ):
            await page.go(address)
            await page.sees(shown)
            faults += [f"{address}: {fault}" for fault in await page.do("axe")]
            if await page.value("document.getAnimations().length"):
                faults.append(f"{address}: moves, though the user wants less motion")
            if not await page.value("document.documentElement.scrollWidth <= innerWidth"):
                faults.append(f"{address}: is wider than the window")
        await page.press("t")
        await page.wait(f"document.documentElement.dataset.theme !== {theme!r}")
        for address, shown in (("#/agents/readers/1", ".facts"), (f"#/interactions/{spoken.id}", ".waterfall .bar")):
            await page.go(address)
            await page.sees(shown)
            faults += [f"{address} in the other theme: {fault}" for fault in await page.do("axe")]
        assert faults == []
        await page.do("emulateMedia", {"reducedMotion": "no-preference"})
        await page.wait("document.getAnimations().length > 0")
        (wait,) = await system.pending()
        await system.deliver("", wait.id, "yes")
        await waiting


class Counter:
    """Crashes at each call."""

    async def __call__(self, ctx: InteractionContext) -> None:
        raise ValueError("no number")


async def test_the_overview_tells_failed_calls_from_crashes() -> None:
    async with system_in_sight() as (system, observer), browsing(observer.new_link()) as page:
        counter = system.spawn(miniagent(Counter), name="counter")
        with pytest.raises(ValueError, match="no number"):
            await counter.inquire()

        await page.go("#/overview")
        await page.sees(".tile-note:has-text('1 failed call · 1 crash · 0 dead letters')")
