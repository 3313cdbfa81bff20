"""Each public name has one home in docs/reference/api, a docstring, and an example that runs."""

import importlib
import inspect
from typing import Any

import pytest

from tests.reference.names import (
    BLOCK,
    INTERNAL,
    PACKAGES,
    chosen_members,
    homes,
    named,
    packages_with_names,
    public_names,
    used_in_examples,
)


def test_each_package_with_public_names_is_known_as_public_or_internal() -> None:
    assert packages_with_names() == {*PACKAGES, *INTERNAL}


def test_each_public_name_has_one_home_in_the_reference() -> None:
    pages = homes()
    twice = {path: names for path, names in pages.items() if len(names) > 1}
    homeless = [name.path for name in public_names() if name.path not in pages]

    assert twice == {}
    assert homeless == [], "give each a line `::: path` in the page of docs/reference/api where it belongs"


def test_the_reference_renders_no_name_that_is_not_public() -> None:
    assert set(homes()) - {name.path for name in public_names()} == set()


def test_each_public_name_has_an_example_that_runs() -> None:
    used = {id(value) for value in used_in_examples()}
    without = [name.path for name in public_names() if id(name.value) not in used and not has_own_example(name.value)]

    assert without == [], "write an example into the docstring, or use the name in a block of a page"


def has_own_example(value: object) -> bool:
    docstring = inspect.getdoc(value) or "" if inspect.isclass(value) or inspect.isfunction(value) else ""
    return ">>> " in docstring or BLOCK in docstring


@pytest.fixture(scope="module")
def source() -> Any:
    """The package as the generator of the site reads it: without importing it."""
    griffe = pytest.importorskip("griffe")
    return griffe.load("miniagents", search_paths=[str(importlib.import_module("miniagents").__path__[0]) + "/.."])


def test_the_generator_of_the_site_finds_each_name_with_its_docstring(source: Any) -> None:
    without = []
    for name in public_names():
        item = source[name.path.removeprefix("miniagents.")]
        if not (item.final_target if item.is_alias else item).docstring:
            without.append(name.path)

    assert without == ["miniagents.__version__"]


def test_the_members_that_a_class_is_rendered_with_are_there_and_documented() -> None:
    members = {path: [getattr(named(path), name) for name in names] for path, names in chosen_members().items()}

    assert "miniagents.MiniAgent" in members
    assert [path for path, values in members.items() if not all(inspect.getdoc(value) for value in values)] == []


def test_a_name_is_what_its_path_says() -> None:
    assert [name.path for name in public_names() if named(name.path) is not name.value] == []
