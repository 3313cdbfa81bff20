"""The names that agents have in a journal, in every process the same."""

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from miniagents.agents.agent import MiniAgent


@lru_cache(maxsize=4096)
def name_of(agent: MiniAgent) -> str:
    """Return the name of an agent in the journal: `module:qualname#alias`."""
    return f"{module_of(agent.wrapped)}:{agent.wrapped.__qualname__}#{agent.alias}"


def module_of(code: Any) -> str:
    """Return the name under which the module of a function or class can be imported, also if it runs as a program."""
    module = str(code.__module__)
    return main_name() if module == "__main__" else module


def main_name() -> str:
    """Return the name under which the file that runs as the program can be imported; "__main__" if it is no file."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        name = str(spec.name)
        return name.removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return _stem(file) if file else "__main__"


@lru_cache(maxsize=16)
def _stem(file: str) -> str:
    return Path(file).stem
