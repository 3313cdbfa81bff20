"""The pages for contributors say what the code is: its floors, its functions, its trips, its paths."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.trips import Recorder, Trip, followed
from miniagents import InteractionContext, MiniAgent, MiniAgents, TextMessage, miniagent
from tests.architecture import (
    CONTRIBUTING,
    PACKAGE,
    PAGE,
    PICTURES,
    ROOT,
    arrows,
    condensed,
    drawn,
    linked,
    reduced,
    steps,
    trips_table,
)

PAGES = sorted(CONTRIBUTING.rglob("*.md"))

TRIPS = {
    "Trip 1: `tell`": "tell",
    "Trip 2: an ask between actors": "ask between actors",
    "Trip 3: a supervised crash to the fresh instance": "supervised crash to the fresh instance",
    "Trip 4: `inquire` of a function agent": "inquire of a function agent",
    "Trip 5: a streamed `/v1/chat/completions`": "/v1/chat/completions, streamed",
}
"""The trips of the page, by their headings, and what `benchmarks.trips` calls them."""

TOLERANCE = 0.2
"""How far the counts on the page may be from today's: they differ a little from one Python to the next."""


@pytest.fixture(scope="module")
def now() -> dict[str, Trip]:
    return {trip.name: trip for trip in followed()}


def test_the_pictures_and_the_links_of_the_architecture_page_are_those_of_the_code() -> None:
    page = PAGE.read_text()

    assert drawn(page) == page, "the code has moved; run: python -m tests.architecture"


def test_a_function_that_moved_is_found_and_one_that_is_gone_is_noticed() -> None:
    tell = linked("`ActorRef.tell`@")

    assert tell == linked("`ActorRef.tell` ([a.py](../../miniagents/a.py))")
    assert tell == linked("`AgentRef.tell`@"), "a base class defines it"
    assert tell == linked("`ActorRef._tell`@"), "it is public now"
    with pytest.raises(ValueError, match=r"`ActorRef\.shout`: defined in \[\]"):
        linked("`ActorRef.shout`@")


def test_an_arrow_that_follows_from_others_is_left_out_and_a_cycle_is_one_node() -> None:
    edges = {"top": {"middle", "bottom"}, "middle": {"twin"}, "twin": {"middle", "bottom"}, "bottom": set[str]()}

    assert reduced(condensed(edges)) == {
        ("top",): {("middle", "twin")},
        ("middle", "twin"): {("bottom",)},
        ("bottom",): set(),
    }


def test_the_rooms_of_the_actors_have_one_way_up() -> None:
    assert all(len(rooms) == 1 for rooms in condensed(arrows(PICTURES["actors"])))


def test_the_page_names_every_package_and_every_room_of_the_actors() -> None:
    page = PAGE.read_text()
    rooms = [path.parent for name in ("*", "actors/*", "ext/*") for path in PACKAGE.glob(f"{name}/__init__.py")]

    missing = {room.relative_to(ROOT).as_posix() for room in rooms} - set(re.findall(r"`(miniagents/[\w/]+)`", page))
    assert missing == {"miniagents/ext"}


@pytest.mark.parametrize("heading", TRIPS)
def test_a_trip_on_the_page_is_the_way_that_the_code_takes(heading: str, now: dict[str, Trip]) -> None:
    calls = iter(function for _, function in now[TRIPS[heading]].steps)
    named = steps(PAGE.read_text(), heading)

    out_of_order = [name for name in named if not any(call == name for call in calls)]

    assert len(named) > 6
    assert out_of_order == [], f"python -m benchmarks.trips --steps shows {TRIPS[heading]!r}"


def test_the_counts_of_the_trips_are_todays(now: dict[str, Trip]) -> None:
    page = PAGE.read_text()

    for row in trips_table(list(now.values())).splitlines()[2:]:
        name, *today = (cell.strip() for cell in row.strip("|").split("|"))
        (shown,) = re.findall(rf"^\| {re.escape(name)} \|(.*)\|$", page, re.M)
        for cell, expected in zip(shown.split("|"), today, strict=True):
            (before, after), (before_expected, after_expected) = (
                [int(number) for number in text.split("→")] for text in (cell, expected)
            )
            assert before == before_expected
            assert abs(after - after_expected) <= max(TOLERANCE * after_expected, 2), (
                f"{name}: {after} on the page, {after_expected} now; run: python -m tests.architecture"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(CONTRIBUTING).as_posix())
def test_every_function_that_a_page_names_is_where_the_page_says(page: Path) -> None:
    text = page.read_text()

    assert linked(text) == text, "a function has moved; run: python -m tests.architecture"


async def calls_of_a_stream(agents: int, tokens: int) -> int:
    """The calls that a stream takes from the agent that speaks to the reader, handed on by so many agents."""

    @miniagent
    async def speaker(ctx: InteractionContext) -> None:
        async def said(_: dict[str, object]) -> AsyncIterator[str]:
            for _number in range(tokens):
                await asyncio.sleep(0)
                yield "x"

        ctx.reply(TextMessage.promise(message_token_streamer=said))

    @miniagent
    async def hands_on(ctx: InteractionContext, depth: int) -> None:
        ctx.reply(called(depth - 1).inquire(ctx.message_promises))

    def called(depth: int) -> MiniAgent:
        return hands_on.fork(depth=depth) if depth else speaker

    recorder = Recorder()
    async with MiniAgents():
        with recorder:
            async for message in called(agents).inquire("hello"):
                async for _ in message:
                    pass
    return sum(not file.startswith("testing/") for file, _ in recorder.trip("stream").steps)  # the clock of tests


@pytest.mark.parametrize("agents", [0, 1, 5])
async def test_a_token_takes_five_calls_however_many_agents_hand_it_on(agents: int) -> None:
    of_many, of_few = await calls_of_a_stream(agents, 300), await calls_of_a_stream(agents, 100)

    assert round((of_many - of_few) / 200) == 5
