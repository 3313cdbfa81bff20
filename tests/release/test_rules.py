"""The rules of a release, and that each extra has its program."""

import doctest
from typing import Any

import pytest

from tests.release import rules
from tests.release.__main__ import PROJECT
from tests.release.programs import PROGRAMS
from tests.release.rules import lower_bounds, unwanted_files, version_problem

NO_PROGRAM = {"all", "bench", "docs", "examples", "otel", "test"}
"""Extras that hold others, are another name of one, or are for the work on the package itself."""


def test_each_extra_has_a_program_that_shows_that_it_is_installed() -> None:
    assert set(PROGRAMS) == set(PROJECT["optional-dependencies"]) - NO_PROGRAM


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_each_program_is_a_program(program: str) -> None:
    compile(program, "program", "exec")


def test_each_direct_dependency_has_a_lower_bound_but_for_data() -> None:
    optional: dict[str, Any] = PROJECT["optional-dependencies"]
    for extra in (None, *PROGRAMS):
        requirements = PROJECT["dependencies"] if extra is None else optional[extra]
        without = [requirement for requirement in requirements if not lower_bounds([requirement])]
        assert [name for name in without if name != "tzdata"] == [], extra


def test_a_lower_bound_keeps_its_marker() -> None:
    assert lower_bounds(["uvloop>=0.19; sys_platform != 'win32'"]) == ["uvloop==0.19; sys_platform != 'win32'"]


def test_the_examples_of_the_rules_are_true() -> None:
    assert doctest.testmod(rules).failed == 0


def test_a_wheel_has_the_package_and_its_metadata_alone() -> None:
    names = [
        "miniagents/log.py",
        "miniagents-0.1.0.dist-info/RECORD",
        "tests/test_log.py",
        "miniagents/__pycache__/a.pyc",
    ]
    assert unwanted_files(names) == ["tests/test_log.py", "miniagents/__pycache__/a.pyc"]


@pytest.mark.parametrize(
    ("changelog", "problem"),
    [
        ("## Unreleased\n\n## 1.2.0 (2026-12-01)\n\n- A name.\n", None),
        ("## 1.2.0\n\n- A name.\n", None),
        ("## Unreleased\n\n- More.\n\n## 1.2.0\n\n- A name.\n", "still has entries"),
        ("## 1.3.0\n\n- More.\n\n## 1.2.0\n\n- A name.\n", "raise __version__"),
        ("## Unreleased\n\n- More.\n", "no section"),
    ],
)
def test_a_version_is_released_with_its_own_section_of_the_changelog(changelog: str, problem: str | None) -> None:
    found = version_problem("1.2.0", changelog)
    assert found is None if problem is None else problem in str(found)
