"""Source code as syntax trees: of functions and classes, and of the names of a module."""

import ast

import pytest

from miniagents.agents.durable.sources import bindings_of, is_installed


@pytest.mark.parametrize(
    ("module", "installed"),
    [
        ("json.decoder", True),
        ("builtins", True),
        ("pytest", True),
        ("miniagents.agents.agent", True),
        (__name__, False),
        ("a_module_that_is_nowhere", False),
    ],
)
def test_the_library_installed_packages_and_this_package_are_no_code_of_the_user(
    module: str, *, installed: bool
) -> None:
    assert is_installed(module) is installed


_MODULE = """
import a.b, c as d
from e import f as g
from h import *
i: int = 1
j = k, *l = 2, 3
m += (n := 4)
for o, [p] in q: r = 5
with s as t, u: ...
try:
    v.attribute["key"] = 6
except W:
    async def x(y):
        z = 7
class A:
    B = 8
C = lambda D: (E := D)
"""


def test_a_module_binds_the_names_of_its_statements_and_not_those_in_functions_and_classes() -> None:
    assert sorted(bindings_of(ast.parse(_MODULE))) == sorted([*"adgijklmnoprtvxAC", "*"])
