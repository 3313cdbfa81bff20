"""The tree of errors."""

import inspect
import pickle

import pytest

from miniagents import errors

ALL = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.MiniAgentsError)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_pickles_with_its_text_and_facts(kind: type[errors.MiniAgentsError]) -> None:
    error = kind("what happened", path="/a")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert str(copy) == "what happened"
    assert copy.path == "/a"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_the_drawn_tree_names_every_class(kind: type[errors.MiniAgentsError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")


def test_usage_errors_are_the_builtins_that_they_resemble() -> None:
    assert issubclass(errors.InvalidOptionError, ValueError)
    assert issubclass(errors.NotSendableError, TypeError)
    assert issubclass(errors.AskTimeoutError, TimeoutError)
