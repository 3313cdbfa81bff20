"""The garbage collector of a process that serves."""

import gc
import sys
from typing import Any

import pytest

from miniagents import ActorSystem, InvalidOptionError, MiniAgents
from miniagents.actors import collecting as module
from miniagents.actors.collecting import collecting

pytestmark = pytest.mark.usefixtures("thresholds")
generations = pytest.mark.skipif(sys.version_info >= (3, 14), reason="the collector is left alone")


@generations
def test_the_third_threshold_is_raised_inside_and_restored_afterwards() -> None:
    with pytest.raises(ValueError, match="from inside"), collecting("service"):
        assert gc.get_threshold() == (701, 11, 1000)
        raise ValueError("from inside")

    assert gc.get_threshold() == (701, 11, 12)


@generations
def test_a_higher_third_threshold_is_left_as_it_is() -> None:
    gc.set_threshold(700, 10, 5000)

    with collecting("service"):
        assert gc.get_threshold() == (700, 10, 5000)


@generations
def test_the_last_of_several_restores_what_was_before_whatever_their_order() -> None:
    first, second = collecting("service"), collecting("service")
    first.__enter__()
    second.__enter__()

    first.__exit__(None, None, None)
    assert gc.get_threshold() == (701, 11, 1000)
    second.__exit__(None, None, None)
    assert gc.get_threshold() == (701, 11, 12)


@generations
def test_what_somebody_else_has_set_meanwhile_stays() -> None:
    with collecting("service"):
        gc.set_threshold(900, 9, 9)

    assert gc.get_threshold() == (900, 9, 9)


def test_without_a_setting_the_collector_is_left_alone() -> None:
    with collecting(None):
        assert gc.get_threshold() == (701, 11, 12)


def test_a_collector_without_generations_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HAS_GENERATIONS", False)

    with collecting("service"):
        assert gc.get_threshold() == (701, 11, 12)


@generations
@pytest.mark.parametrize("system", [ActorSystem, MiniAgents])
def test_a_program_runs_with_the_setting(system: Any) -> None:
    async def main() -> tuple[int, int, int]:
        return gc.get_threshold()

    assert system().run(main(), gc="service") == (701, 11, 1000)
    assert system().run(main()) == (701, 11, 12)


def test_another_setting_is_refused() -> None:
    async def main() -> None:
        pytest.fail("it has begun")

    wrong: Any = "fast"
    with pytest.raises(InvalidOptionError, match="gc= must be 'service' or None, not 'fast'"):
        ActorSystem().run(main(), gc=wrong)
