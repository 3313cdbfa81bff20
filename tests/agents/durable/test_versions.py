"""Versions of code: equal for code that does the same."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from miniagents import AgentArgumentError, MiniAgent, miniagent
from miniagents.agents.durable.identity import identity_of
from miniagents.agents.durable.names import name_of
from miniagents.agents.durable.versions import version_of

_CODE = """
PROMPT = "Be brief."
KNOWN = {"b", "a", "c"}

def helper(text):
    return text + PROMPT

async def agent(ctx, loud=False):
    return helper("x") in KNOWN
"""

_ENDLESS = """
LIST = []
TABLE = {"list": LIST, "twice": [LIST, LIST]}
LIST.append(TABLE)
NUMBER = 1

async def agent(ctx):
    return LIST, TABLE, NUMBER
"""


def _version(path: Path, code: str) -> str:
    path.write_text(code)
    spec = importlib.util.spec_from_file_location(f"user_code_{abs(hash(code))}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    code_of: Any = module
    return version_of(code_of.agent)


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("def helper(text):", "# a comment\n\ndef helper(text):", True),
        ('helper("x") in', "helper('x') in", True),
        ("return text + PROMPT", "return PROMPT + text", False),
        ('"Be brief."', '"Be long."', False),
        ('{"b", "a", "c"}', '{"c", "a", "b"}', True),
        ('{"b", "a", "c"}', '{"c", "a"}', False),
        ("loud=False", "loud=True", False),
        ('PROMPT = "Be brief."', 'UNUSED = 1\nPROMPT = "Be brief."', True),
    ],
)
def test_a_version_changes_with_what_the_code_does_and_with_nothing_else(
    old: str, new: str, *, is_same: bool, tmp_path: Path
) -> None:
    first = _version(tmp_path / "first.py", _CODE)
    second = _version(tmp_path / "second.py", _CODE.replace(old, new))

    assert (first == second) is is_same


def test_constants_that_contain_themselves_are_read_once(tmp_path: Path) -> None:
    first, same = (_version(tmp_path / f"{name}.py", _ENDLESS) for name in ("first", "same"))
    other = _version(tmp_path / "other.py", _ENDLESS.replace("NUMBER = 1", "NUMBER = 2"))

    assert first == same != other


@pytest.mark.parametrize("seed", ["0", "1"])
def test_a_version_is_the_same_in_every_process(seed: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        f"{_CODE}\nfrom miniagents.agents.durable.versions import version_of\nprint(version_of(agent))\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path.cwd())}

    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, env=environment, check=True)

    assert done.stdout.strip() == _version(tmp_path / "module.py", _CODE)


def test_an_agent_has_one_name_whether_its_file_is_the_program_or_is_imported(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from miniagents import miniagent\n"
        "from miniagents.agents.durable.identity import name_of\n"
        "@miniagent\nasync def agent(ctx): ...\n"
        "print(name_of(agent))\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{Path.cwd()}{os.pathsep}{tmp_path}"}

    commands = ([str(program)], ["-m", "program"], ["-c", "import program"])
    names = {
        subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, check=True).stdout
        for command in commands
    }

    assert names == {"program:agent#agent\n"}


@miniagent
async def takes_anything(ctx: Any, thing: Any = None) -> None: ...


class _Client:
    def __init__(self, key: str | None) -> None:
        if key is not None:
            self.journal_key = key


def _with(thing: object) -> MiniAgent:
    return takes_anything.fork(non_freezable_kwargs={"thing": thing})


def test_a_live_argument_without_a_key_is_refused_and_the_error_says_what_to_do() -> None:
    with pytest.raises(AgentArgumentError, match=r"takes_anything: the live argument thing= .*journal_key"):
        identity_of(_with(_Client(None)))


def test_a_live_argument_enters_by_its_journal_key() -> None:
    one, same, other = (identity_of(_with(_Client(key))) for key in ("a", "a", "b"))

    assert one == same != other


def test_the_version_that_the_decorator_gives_wins() -> None:
    agent = miniagent(version="7")(takes_anything.wrapped)

    assert identity_of(agent).version == "7"
    assert identity_of(agent.fork(thing=1)).version == "7"
    assert name_of(agent).endswith(":takes_anything#takes_anything")
