"""Versions of code: equal for code that does the same."""

import importlib.util
import linecache
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


def _loaded(path: Path, code: str, name: str) -> Any:
    path.write_text(code)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _version(path: Path, code: str) -> str:
    return version_of(_loaded(path, code, f"user_code_{abs(hash(code))}").agent)


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


_STATE = """
import os
import sys
import time

paid = []
TABLE = {"a": 1}
START = time.time()
COUNT = 0

async def agent(ctx):
    global COUNT
    COUNT += 1
    paid.append("writer")
    TABLE["b"] = 2
    return START, __file__, __name__, sys.argv, os.environ.get("HOME")

class Agent:
    async def __call__(self, ctx):
        paid.append(START)
"""


async def test_what_agents_and_the_process_write_into_a_module_is_in_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = _loaded(tmp_path / "one.py", _STATE, "state_fresh")
    used = _loaded(tmp_path / "two.py", _STATE, "state_used")
    used.START = 0.0
    await used.agent(None)
    versions = [version_of(fresh.agent), version_of(fresh.Agent)]
    monkeypatch.setattr(sys, "argv", ["other", "arguments"])
    monkeypatch.setenv("HOME", "/elsewhere")

    assert [version_of(used.agent), version_of(used.Agent)] == versions


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("TABLE = {", "TABLE = {0: 0, "),
        ("time.time()", "time.monotonic()"),
        ("import os", "import ntpath as os"),
        ("COUNT = 0", "COUNT = 1"),
    ],
)
def test_the_source_of_what_a_module_assigns_is_in_the_version(old: str, new: str, tmp_path: Path) -> None:
    assert _version(tmp_path / "first.py", _STATE) != _version(tmp_path / "second.py", _STATE.replace(old, new))


_INDIRECT = """
from functools import cache, partial

BASE = "base"
PROMPT = BASE + "!"
TONES = {}
TONES["calm"] = "slowly"

def shout(text, mark="!"):
    return text + mark

say = partial(shout, mark="?")
also = lambda text: text + "a lambda"

@cache
def kept(text):
    return text + "cached"

async def agent(ctx):
    return say(PROMPT), also(""), kept(TONES["calm"])
"""


@pytest.mark.parametrize("word", ["base", "slowly", "text + mark", "?", "a lambda", "cached"])
def test_what_a_module_makes_of_other_names_is_in_the_version(word: str, tmp_path: Path) -> None:
    changed = _INDIRECT.replace(word, "mark + text" if word == "text + mark" else f"{word} changed")

    assert _version(tmp_path / "first.py", _INDIRECT) != _version(tmp_path / "second.py", changed)


def _closing(prompt: str, heard: list[str], *, calls: int) -> Any:
    async def agent(ctx: Any) -> str:
        nonlocal calls
        calls += 1
        heard.append(prompt)
        return """
an answer without indentation """

    return agent


_LAMBDAS = """
def made(one, two):
    async def agent(ctx):
        return one, two
    return agent

agent = made(
    lambda text: text + "one", lambda text: text + "two",
)
"""


@pytest.mark.parametrize("word", ["one", "two"])
def test_a_lambda_amid_the_lines_of_a_call_is_in_the_version(word: str, tmp_path: Path) -> None:
    changed = _LAMBDAS.replace(f'"{word}"', '"changed"')

    assert _version(tmp_path / "first.py", _LAMBDAS) != _version(tmp_path / "second.py", changed)


_LATE = """
def connect():
    global CLIENT
    CLIENT = "a client"

async def agent(ctx):
    return CLIENT
"""


_CHOSEN = """
handler = None

def loud():
    return "loud"

def choose():
    global handler
    handler = loud

async def agent(ctx):
    return handler()
"""


def test_a_function_that_is_put_into_a_name_at_run_time_is_in_no_version(tmp_path: Path) -> None:
    before, after = _loaded(tmp_path / "one.py", _CHOSEN, "before"), _loaded(tmp_path / "two.py", _CHOSEN, "after")
    after.choose()

    assert version_of(before.agent) == version_of(after.agent)


def _from_a_cell(code: str, cell: str) -> Any:
    linecache.cache[cell] = (len(code), None, code.splitlines(keepends=True), cell)
    names: dict[str, Any] = {}
    exec(compile(code, cell, "exec"), names)
    return names["agent"]


def test_without_a_module_constants_enter_by_value_and_lists_by_type() -> None:
    code = "NUMBER = 1\nheard = []\nasync def agent(ctx):\n    heard.append(NUMBER)\n"
    first = version_of(_from_a_cell(code, "<cell-1>"))

    assert version_of(_from_a_cell(code.replace("[]", "[1]"), "<cell-2>")) == first
    assert version_of(_from_a_cell(code.replace("NUMBER = 1", "NUMBER = 2"), "<cell-3>")) != first


@pytest.mark.parametrize("imported", ["WORD as SAID, OTHER", "*"])
def test_of_an_import_the_names_that_are_used_are_in_the_version(
    imported: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "SAID" if imported != "*" else "WORD"
    code = f"from words_of_a_test import {imported}\n\nasync def agent(ctx):\n    return {name}\n"

    versions: list[str] = []
    for words in ("WORD, OTHER = 1, 2", "WORD = 1\nOTHER = 2", "WORD = 1\nOTHER = 3", "WORD = 4\nOTHER = 3"):
        other = _loaded(tmp_path / f"words{len(versions)}.py", words, f"words{len(versions)}")
        other.__name__ = "words_of_a_test"
        monkeypatch.setitem(sys.modules, "words_of_a_test", other)
        versions.append(_version(tmp_path / "main.py", code))

    assert versions[1] == versions[2]
    assert len(set(versions)) == 3


def test_a_name_that_a_module_gets_only_at_run_time_is_in_no_version(tmp_path: Path) -> None:
    early, late = _loaded(tmp_path / "one.py", _LATE, "early"), _loaded(tmp_path / "two.py", _LATE, "late")
    late.connect()

    assert version_of(early.agent) == version_of(late.agent)


async def test_closure_values_that_change_at_run_time_are_in_no_version_and_constants_are() -> None:
    fresh, used, other = _closing("a", [], calls=0), _closing("a", [], calls=0), _closing("b", [], calls=0)
    await used(None)

    assert version_of(fresh) == version_of(used) != version_of(other)


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


_MAIN = """
import helpers
from helpers import helper
from miniagents.agents.durable.versions import version_of

class Answer:
    text = "x"

async def agent(ctx):
    Answer()
    return helper(__name__), helpers.WORD

if __name__ == "__main__":
    print(version_of(agent))
"""

_HELPERS = """
WORD = "word"

def helper(text):
    return text + below()

def below():
    return "below"
"""

_CHANGES = (("", ""), ('"below"', '"changed"'), ('"word"', '"changed"'))


def _ran(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{Path.cwd()}{os.pathsep}{folder}"}
    done = subprocess.run([sys.executable, "-B", *command], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("root", "package"), [("", ""), ("", "app"), ("site-packages", "app")], ids=["beside", "package", "installed"]
)
def test_a_version_is_the_same_imported_and_as_the_program_and_has_the_code_of_other_modules(
    root: str, package: str, tmp_path: Path
) -> None:
    path, folder = tmp_path / root, tmp_path / root / package
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"{package}." if package else ""
    relative = "from .helpers" if package else "from helpers"
    code = _MAIN.replace("import helpers", f"import {prefix}helpers as helpers").replace("from helpers", relative)
    (folder / "main.py").write_text(code)
    program = ["-m", f"{prefix}main"] if package else [str(folder / "main.py")]

    versions = []
    for old, new in _CHANGES:
        (folder / "helpers.py").write_text(_HELPERS.replace(old, new) if old else _HELPERS)
        versions.append(_ran(path, *program))
        imported = _ran(path, "-c", f"from {prefix}main import agent, version_of; print(version_of(agent))")
        assert imported == versions[-1]

    assert len(set(versions)) == 3


_ROUND = """
import helpers
from miniagents.agents.durable.versions import version_of

SAY = "main"

def aloud(text):
    return text

async def agent(ctx):
    return aloud(SAY), helpers.helper("")

if __name__ == "__main__":
    print(version_of(agent))
"""


def test_a_version_is_the_same_where_another_module_imports_the_program(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(_ROUND)
    (tmp_path / "helpers.py").write_text("import main\n\ndef helper(text):\n    return main.aloud(main.SAY)\n")

    program = _ran(tmp_path, str(tmp_path / "main.py"))

    assert program == _ran(tmp_path, "-c", "import main; print(main.version_of(main.agent))")


def test_installed_code_of_others_is_in_no_version(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(_MAIN)
    installed = tmp_path / "site-packages"
    installed.mkdir()

    versions = set()
    for old, new in _CHANGES:
        (installed / "helpers.py").write_text(_HELPERS.replace(old, new) if old else _HELPERS)
        versions.add(_ran(installed, str(tmp_path / "main.py")))

    assert len(versions) == 1


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
