"""`make_project`: the files of a new project."""

import json
import keyword
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote

from miniagents.errors import InvalidOptionError

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["{requirement}"]

[project.optional-dependencies]
test = ["miniagents[cli,serve]", "pytest>=8.2"]

[tool.hatch.metadata]
allow-direct-references = true

[tool.hatch.build.targets.wheel]
packages = ["{package}"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
"""

_AGENTS = '''\
"""The agents of {name}."""

from miniagents import InteractionContext, miniagent


@miniagent
async def greeter(ctx: InteractionContext) -> None:
    """Greet everybody who writes."""
    async for message in ctx.message_promises:
        ctx.reply(f"Hello, {{await message}}!")
'''

_TEST = '''\
"""The tests of the agents."""

from {package}.agents import greeter

from miniagents import MiniAgents


def test_everybody_is_greeted() -> None:
    replies = MiniAgents().run_agent(greeter, ["Ada", "Grace"])

    assert [str(reply) for reply in replies] == ["Hello, Ada!", "Hello, Grace!"]
'''

_README = """\
# {name}

```
pip install -e '.[test]'
pytest
miniagents run {package}.agents:greeter Ada
miniagents serve {package}.agents:greeter
```
"""


def make_project(name: str, where: Path) -> dict[str, Any]:
    """Make a project in a new folder.

    Args:
        name: The name of the project: lower-case letters, digits, and - or _ between them.
        where: The folder that gets the new one.

    Returns:
        The path of the new folder, and the files in it.

    Raises:
        InvalidOptionError: The name is none, or is taken.
    """
    package = name.replace("-", "_")
    if not _NAME.fullmatch(name):
        raise InvalidOptionError(f"{name!r} is no name for a project: use a-z, 0-9, and - or _ between them")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or package in ("miniagents", "tests"):
        raise InvalidOptionError(f"{name!r} is the name of something else in Python: choose another one")
    folder = where / name
    values = {"name": name, "package": package, "requirement": requirement()}
    files = {
        "pyproject.toml": _PYPROJECT,
        "README.md": _README,
        f"{package}/__init__.py": '"""Agents."""\n',
        f"{package}/agents.py": _AGENTS,
        "tests/test_agents.py": _TEST,
    }
    try:
        folder.mkdir()
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(text.format(**values), encoding="utf-8")
    except FileExistsError as error:
        raise InvalidOptionError(f"{folder} exists already: choose another name") from error
    except OSError as error:
        raise InvalidOptionError(f"{folder} cannot be made: {error.strerror}") from error
    return {"folder": str(folder), "files": list(files), "requirement": values["requirement"]}


def requirement() -> str:
    """Return the requirement that installs the MiniAgents that runs now: its wheel, its clone, or its version."""
    try:
        installed = distribution("miniagents")
    except PackageNotFoundError:
        return _clone()
    url = json.loads(installed.read_text("direct_url.json") or "{}").get("url")
    return f"miniagents @ {url}" if url else f"miniagents=={installed.version}"


def _clone() -> str:
    """Return the requirement for the clone that the package was imported from."""
    root = Path(__file__).resolve().parents[3]
    return f"miniagents @ file://{quote(str(root))}" if (root / "pyproject.toml").is_file() else "miniagents"
