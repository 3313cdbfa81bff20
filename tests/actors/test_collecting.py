"""The garbage collector of a process that serves."""

import asyncio
import gc
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from miniagents import ActorSystem, InvalidOptionError, MiniAgents
from miniagents.actors import collecting as module
from miniagents.actors.collecting import collecting

pytestmark = pytest.mark.usefixtures("thresholds")
generations = pytest.mark.skipif(sys.version_info >= (3, 14), reason="the collector is left alone")
TICK = 0.1
SAMPLE = 2.0


class Thing:
    """An object that can be in a cycle."""

    def __init__(self) -> None:
        self.other: Thing | None = None


def make_garbage(cycles: int) -> None:
    for _ in range(cycles):
        thing = Thing()
        thing.other = Thing()
        thing.other.other = thing


def is_in(generation: int, thing: Thing) -> bool:
    return any(thing is one for one in gc.get_objects(generation))


def number_of_things() -> int:
    return sum(type(one) is Thing for one in gc.get_objects())


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """Without the objects that the tests freeze; and what has been before is collected."""
    gc.unfreeze()
    gc.collect()
    yield
    gc.freeze()


@generations
async def test_two_thresholds_are_raised_inside_and_restored_afterwards() -> None:
    with pytest.raises(ValueError, match="from inside"), collecting("service"):
        assert gc.get_threshold() == (2000, 11, 1000)
        raise ValueError("from inside")

    assert gc.get_threshold() == (701, 11, 12)


@generations
async def test_higher_thresholds_are_left_as_they_are() -> None:
    gc.set_threshold(3000, 10, 5000)

    with collecting("service"):
        assert gc.get_threshold() == (3000, 10, 5000)


@generations
async def test_the_last_of_several_restores_what_was_before_whatever_their_order() -> None:
    first, second = collecting("service"), collecting("service")
    first.__enter__()
    second.__enter__()

    first.__exit__(None, None, None)
    assert gc.get_threshold() == (2000, 11, 1000)
    second.__exit__(None, None, None)
    assert gc.get_threshold() == (701, 11, 12)


@generations
async def test_what_somebody_else_has_set_meanwhile_stays() -> None:
    with collecting("service"):
        gc.set_threshold(900, 9, 9)

    assert gc.get_threshold() == (900, 9, 9)


async def test_without_a_setting_the_collector_is_left_alone() -> None:
    callbacks = list(gc.callbacks)

    with collecting(None):
        assert gc.get_threshold() == (701, 11, 12)
        assert gc.callbacks == callbacks


async def test_a_collector_without_generations_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HAS_GENERATIONS", False)
    callbacks = list(gc.callbacks)

    with collecting("service"):
        assert gc.get_threshold() == (701, 11, 12)
        assert gc.callbacks == callbacks


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_what_a_collection_in_vain_has_left_is_not_looked_at_again() -> None:
    with collecting("service"):
        thing = Thing()
        gc.collect(0)

        assert is_in(2, thing)


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_a_collection_that_frees_enough_is_no_reason_to_promote() -> None:
    with collecting("service"):
        make_garbage(10)
        thing = Thing()
        gc.collect(0)

        assert is_in(1, thing)


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_after_a_collection_in_vain_young_objects_are_promoted_without_a_collection() -> None:
    with collecting("service"):
        gc.collect(0)
        before = gc.get_stats()
        thing = Thing()

        await asyncio.sleep(TICK)

        assert is_in(2, thing)
        assert [one["collections"] for one in gc.get_stats()] == [one["collections"] for one in before]


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_after_a_collection_in_vain_those_of_python_find_no_young_objects() -> None:
    with collecting("service"):
        gc.collect(0)
        collections = gc.get_stats()[0]["collections"]
        make_garbage(10)
        things = [Thing() for _ in range(3000)]

        assert gc.get_stats()[0]["collections"] > collections
        assert number_of_things() == 3020
        assert is_in(2, things[0])


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_after_a_collection_that_was_worth_it_those_of_python_free_garbage() -> None:
    with collecting("service"):
        make_garbage(10)
        gc.collect(0)
        make_garbage(10)
        things = [Thing() for _ in range(3000)]

        assert number_of_things() == len(things)


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_after_a_collection_that_was_worth_it_young_objects_stay_young() -> None:
    with collecting("service"):
        make_garbage(10)
        gc.collect(0)
        thing = Thing()

        await asyncio.sleep(TICK)

        assert is_in(0, thing)


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_what_a_full_collection_frees_says_nothing_about_young_objects() -> None:
    with collecting("service"):
        gc.collect(0)
        make_garbage(10)
        await asyncio.sleep(TICK)
        gc.collect()
        thing = Thing()

        await asyncio.sleep(TICK)

        assert is_in(2, thing)


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_a_sample_finds_out_that_collections_are_worth_it_again() -> None:
    with collecting("service"):
        gc.collect(0)
        await asyncio.sleep(SAMPLE - TICK / 2)
        make_garbage(10)
        await asyncio.sleep(TICK)
        thing = Thing()
        await asyncio.sleep(TICK)

        assert number_of_things() == 1
        assert is_in(0, thing)


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_promoted_garbage_is_freed_when_the_process_has_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = 5_000_000
    monkeypatch.setattr(sys, "getallocatedblocks", lambda: blocks)
    with collecting("service"):
        gc.collect(0)
        make_garbage(10)
        await asyncio.sleep(SAMPLE)

        blocks = 10_000_000
        await asyncio.sleep(SAMPLE)
        assert number_of_things() == 20
        blocks = 10_000_001
        await asyncio.sleep(SAMPLE)
        assert number_of_things() == 0

        make_garbage(10)
        await asyncio.sleep(SAMPLE)
        assert number_of_things() == 20, "the size after the last full collection counts"


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_a_little_garbage_again_and_again_is_freed_in_the_end() -> None:
    """A sample that finds 18 objects stands for 360: the 56th is one too many."""
    with collecting("service"):
        gc.collect(0)
        make_garbage(10)
        await asyncio.sleep(SAMPLE - TICK / 2)
        for _ in range(55):
            make_garbage(9)
            await asyncio.sleep(SAMPLE)
        assert number_of_things() == 20

        make_garbage(9)
        await asyncio.sleep(SAMPLE)
        assert number_of_things() == 0

        await asyncio.sleep(TICK)
        make_garbage(10)
        await asyncio.sleep(SAMPLE - TICK)
        make_garbage(9)
        await asyncio.sleep(TICK)
        assert number_of_things() == 20, "the garbage since the last full collection counts"


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_garbage_that_ends_the_promotions_stands_for_what_was_promoted_before() -> None:
    """A sample that finds 20 objects stands for 400: the 51st is one too many."""
    with collecting("service"):
        gc.collect(0)
        make_garbage(10)
        await asyncio.sleep(SAMPLE - TICK / 2)
        for _ in range(50):
            make_garbage(10)
            await asyncio.sleep(TICK)
            gc.collect(0)  # finds nothing
            await asyncio.sleep(SAMPLE - TICK)
        assert number_of_things() == 20

        make_garbage(10)
        await asyncio.sleep(TICK)
        assert number_of_things() == 0


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_a_small_process_may_grow_to_more_than_twice_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = 100_000
    monkeypatch.setattr(sys, "getallocatedblocks", lambda: blocks)
    with collecting("service"):
        gc.collect(0)
        make_garbage(10)

        blocks += 2_000_000
        await asyncio.sleep(SAMPLE)
        assert number_of_things() == 20
        blocks += 1
        await asyncio.sleep(SAMPLE)
        assert number_of_things() == 0


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_what_the_application_has_frozen_stays_frozen() -> None:
    with collecting("service"):
        frozen = Thing()
        gc.freeze()
        thing = Thing()
        gc.collect(0)
        await asyncio.sleep(TICK)

        assert not any(is_in(generation, frozen) for generation in range(3))
        assert is_in(1, thing)


@generations
@pytest.mark.usefixtures("unfrozen")
async def test_nothing_is_promoted_afterwards() -> None:
    callbacks = list(gc.callbacks)
    with collecting("service"):
        gc.collect(0)
    thing = Thing()

    await asyncio.sleep(SAMPLE)

    assert gc.callbacks == callbacks
    assert is_in(0, thing)


@generations
@pytest.mark.parametrize("system", [ActorSystem, MiniAgents])
def test_a_program_runs_with_the_setting(system: Any) -> None:
    async def main() -> tuple[int, int, int]:
        return gc.get_threshold()

    assert system().run(main(), gc="service") == (2000, 11, 1000)
    assert system().run(main()) == (701, 11, 12)


def test_another_setting_is_refused() -> None:
    async def main() -> None:
        pytest.fail("it has begun")

    wrong: Any = "fast"
    with pytest.raises(InvalidOptionError, match="gc= must be 'service' or None, not 'fast'"):
        ActorSystem().run(main(), gc=wrong)
