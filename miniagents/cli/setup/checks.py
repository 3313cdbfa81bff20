"""`all_checks`: what `miniagents doctor` looks at. Nothing is changed, and no key is shown."""

import os
import platform
import re
import socket
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from miniagents.cli.operate.asking import Target
from miniagents.cli.operate.options import ENVIRONMENT
from miniagents.cli.running.processes import processes
from miniagents.control import socket_path
from miniagents.errors import InvalidOptionError, MiniAgentsError

_NOT_SHOWN = ("all", "bench", "docs", "examples", "otel", "test")
"""The extras that are for the work on MiniAgents itself, hold others, or are another name of one."""

_FOLDER = Path(__file__).parents[3]
"""Where the package lies: a clone, or the folder of all packages."""

_LIBRARY = re.compile(r"[A-Za-z0-9._-]+")

_OF_EXTRA = re.compile(r"""([A-Za-z0-9._-]+).*;.*\bextra == ['"]([^'"]+)['"]""")

_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")

_OLDEST = (3, 11)

Check = dict[str, str]
"""One check: its `name`, its `state` ("ok", "note" for what is only good to know, "wrong"), and a `text`."""


def all_checks(port: int, journal: str | None) -> list[Check]:
    """Look at the machine.

    Args:
        port: The port that is to be free.
        journal: The file of a journal; None for that of the environment, if it names one.

    Returns:
        The checks in their order.
    """
    return [*_python(), *_extras(), *_keys(), _port(port), _control(), *_running(), *_journal(journal)]


def _check(name: str, state: str, text: str) -> Check:
    return {"name": name, "state": state, "text": text}


def _python() -> Iterator[Check]:
    is_new = sys.version_info >= _OLDEST
    python = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    yield _check(
        "python", "ok" if is_new else "wrong", python if is_new else f"{python}: 3.11 is the oldest that works"
    )
    folder = _FOLDER / "miniagents"
    try:
        yield _check("miniagents", "ok", f"{version('miniagents')}, {folder}")
    except PackageNotFoundError:
        yield _check("miniagents", "note", f"not installed, but imported from {folder}")
    if _is_installed("uvloop"):
        yield _check("uvloop", "ok", version("uvloop"))
    else:
        yield _check("uvloop", "note", "not installed: the slower event loop of asyncio is used")


def _extras() -> Iterator[Check]:
    for extra, libraries in sorted(_libraries_of_extras().items()):
        if extra in _NOT_SHOWN:
            continue
        missing = [library for library in libraries if not _is_installed(library)]
        if missing:
            text = f"missing {', '.join(missing)}: pip install 'miniagents[{extra}]'"
            yield _check(f"extra {extra}", "note", text)
        else:
            yield _check(f"extra {extra}", "ok", "installed")


def _libraries_of_extras() -> dict[str, list[str]]:
    """Return the libraries of each extra. Those of a clone are read from the clone: what pip keeps about an editable
    installation is as old as the installation."""
    try:
        project = tomllib.loads((_FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        project = {}
    if project.get("name") == "miniagents":
        return {
            extra: [match[0] for requirement in requirements if (match := _LIBRARY.match(requirement))]
            for extra, requirements in project["optional-dependencies"].items()
        }
    extras: dict[str, list[str]] = {}
    try:
        requirements = requires("miniagents") or []
    except PackageNotFoundError:
        return extras
    for requirement in requirements:
        match = _OF_EXTRA.match(requirement)
        if match is not None:
            extras.setdefault(match[2], []).append(match[1])
    return extras


def _is_installed(library: str) -> bool:
    try:
        version(library)
    except PackageNotFoundError:
        return False
    return True


def _keys() -> Iterator[Check]:
    for name in _KEYS:
        is_set = bool(os.environ.get(name))
        yield _check(name, "ok" if is_set else "note", "set" if is_set else "not set: agents need api_key=")


def _port(port: int) -> Check:
    try:
        with socket.socket() as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        return _check("port", "wrong", f"{port} cannot be listened at: {reason}; choose another one with serve --port")
    return _check("port", "ok", f"{port} is free")


def _control() -> Check:
    try:
        folder = socket_path(Path("/")).parent
    except (MiniAgentsError, OSError, AttributeError) as error:
        return _check("control sockets", "wrong", str(error))
    return _check("control sockets", "ok", str(folder))


def _running() -> Iterator[Check]:
    for process in processes():
        state = "ok" if process.system is not None else "wrong"
        yield _check("running", state, str(process))


def _journal(path: str | None) -> Iterator[Check]:
    named = path or os.environ.get(ENVIRONMENT)
    if not named:
        return
    try:
        stats = Target(named).ask("journal.stats", {})
    except (MiniAgentsError, InvalidOptionError) as error:
        yield _check("journal", "wrong", str(error))
    else:
        yield _check("journal", "ok", f"{stats['path']}, {stats['bytes']:,} bytes")
