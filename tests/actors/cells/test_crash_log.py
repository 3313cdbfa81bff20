"""Crashes in the log: the same lines where their level is on, and next to no work where it is off."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from miniagents import Actor, ActorContext, ActorSystem, Message, TextMessage
from tests.actors.actors import turns

LEVELS = [logging.DEBUG, logging.WARNING, logging.ERROR, logging.CRITICAL]


class Shown(Exception):
    """Knows how often somebody wanted to see it."""

    times = 0

    def __repr__(self) -> str:
        Shown.times += 1
        return "Shown()"


class Fragile(Actor):
    async def receive(self, message: Message, ctx: ActorContext) -> None:
        raise Shown


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What the processors of structlog get; the test chooses the wrapper class."""
    before = structlog.get_config()
    caught: list[Any] = []

    def catch(logger: Any, name: str, entry: Any) -> Any:
        caught.append((name, dict(entry)))
        raise structlog.DropEvent

    Shown.times = 0
    structlog.configure(processors=[catch], cache_logger_on_first_use=False)
    yield caught
    structlog.configure(**before)


async def crash_twice() -> None:
    async with ActorSystem() as system:
        asked = system.spawn(Fragile, name="asked")
        with pytest.raises(Shown):
            await asked.ask(TextMessage("x"))
        system.spawn(Fragile, name="told").tell(TextMessage("x"))
        await turns()


@pytest.mark.parametrize("level", LEVELS)
async def test_a_crash_is_logged_as_ever_where_its_level_is_on_and_not_even_written_where_it_is_off(
    lines: list[Any], level: int
) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))

    await crash_twice()

    expected = [(logging.WARNING, "warning", "/asked"), (logging.ERROR, "error", "/told")]
    assert [(name, entry["actor"]) for name, entry in lines] == [line[1:] for line in expected if line[0] >= level]
    assert Shown.times == len(lines)
    assert all(entry["error"] == "Shown()" for _, entry in lines)
    assert all(("stack" in entry) is (name == "error") for name, entry in lines)


@pytest.mark.parametrize("level", LEVELS)
async def test_the_level_of_a_logger_of_the_standard_library_is_asked(lines: list[Any], level: int) -> None:
    logger = logging.getLogger("tests.log_levels")
    logger.setLevel(level)
    structlog.configure(wrapper_class=structlog.stdlib.BoundLogger, logger_factory=lambda *_: logger)

    await crash_twice()

    assert len(lines) == Shown.times == sum(level <= on for on in (logging.WARNING, logging.ERROR))


async def test_a_logger_that_knows_no_levels_gets_every_crash_and_nothing_else(lines: list[Any]) -> None:
    structlog.configure(wrapper_class=structlog.BoundLogger, logger_factory=lambda *_: logging.getLogger("tests.other"))

    await crash_twice()

    assert [(name, entry["event"]) for name, entry in lines] == [
        ("warning", "actor.crashed"),
        ("error", "actor.crashed"),
    ]
