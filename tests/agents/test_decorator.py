"""The decorator: what becomes an agent, and under which name."""

import pytest

from miniagents import (
    InteractionContext,
    miniagent,
)
from miniagents.errors import (
    InvalidOptionError,
)
from tests.agents.agents import echo


def test_max_concurrency_on_a_class_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="max_concurrency"):

        @miniagent(max_concurrency=2)
        class Bad:
            async def __call__(self, ctx: InteractionContext) -> None: ...


def test_only_async_functions_and_classes_become_agents() -> None:
    with pytest.raises(TypeError, match="async"):
        miniagent(lambda ctx: None)  # type: ignore[arg-type, return-value]


def test_alias_and_description_come_from_name_and_docstring() -> None:
    assert (echo.alias, echo.description) == ("echo", "Says what it was told.")
