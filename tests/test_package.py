"""The package as a whole: its layers, what importing it loads, and its public names."""

import ast
import importlib.metadata
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import miniagents
from miniagents import errors

PACKAGE = Path(miniagents.__file__).parent
TESTS = Path(__file__).parent

LAYERS = [
    "errors",
    "log",
    "promising",
    "messages",
    "supervision",
    "control",
    "journal",
    "actors",
    "agents",
    "cluster",
    "miniagents",
    "ext",
    "testing",
    "cli",
    "__main__",
]


ROOMS = {
    "actors": [
        "api",
        "arguments",
        "threads",
        "wall_clock",
        "collecting",
        "observing",
        "ports",
        "waiting",
        "messaging",
        "dispatch",
        "cells",
        "durable",
        "supervisors",
        "from_thread",
        "runner",
        "shutdown",
        "system",
    ],
    "ext.serving": [
        "http",
        "wants",
        "reply_pieces",
        "shown",
        "served_agent",
        "request_options",
        "conversations",
        "runs",
        "tracking",
        "service",
        "draining",
        "first_routes",
        "openai",
        "anthropic",
        "native",
        "operations",
        "mcp",
        "front_ends",
        "a2a",
        "asgi",
        "app",
        "mcp_app",
        "process",
        "command",
    ],
}
"""The order of the rooms inside of a package, the lowest first: a folder, or a module of its own."""

UPWARDS = {
    # `ctx.system` is what users call: its type is the class itself, and no port.
    ("actors.cells.actor", "actors.system"),
}
"""The imports for types that may run upwards, each with its reason."""

CIRCLES = {"actors": 3, "ext.serving": 1, "messages": 1, "promising": 2, "supervision": 1}
"""How many modules of a package may import each other in a circle, imports for types included. Modules that can only be
read together are to be few; 1 is none."""


def _layer(module: str) -> int | None:
    """The layer of a module of the package, or None for the package itself."""
    parts = module.split(".")
    return LAYERS.index(parts[1]) if len(parts) > 1 else None


def _imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inside = node.module == "miniagents"
            found |= {f"miniagents.{alias.name}" for alias in node.names} if inside else {node.module}
    return {name for name in found if name.split(".")[0] == "miniagents"}


def test_imports_run_only_downwards() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        relative = path.relative_to(PACKAGE).with_suffix("").parts
        if relative == ("__init__",):
            continue
        own = LAYERS.index(relative[0])
        for name in _imports(ast.parse(path.read_text())):
            other = _layer(name)
            if other is None or other > own:
                wrong.append(f"{'.'.join(relative)} imports {name}")
    assert wrong == []


def _modules() -> dict[str, Path]:
    """The modules by their names within the package, folders by theirs."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def _imported_by(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules that a module imports, for types or at run time, at its top or inside of a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name.removeprefix("miniagents.") in modules else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.removeprefix("miniagents.") for name in found if name.startswith("miniagents.")} & modules.keys()


@pytest.mark.parametrize("package", ROOMS)
def test_the_imports_inside_of_a_package_run_only_downwards_those_for_types_included(package: str) -> None:
    modules, order = _modules(), ROOMS[package]
    inside = {name: path for name, path in modules.items() if name.startswith(f"{package}.")}
    arrows = {
        (name, other) for name, path in inside.items() for other in _imported_by(path, modules) if other in inside
    }

    def room(name: str) -> str:
        return name.removeprefix(f"{package}.").split(".")[0]

    upwards = {(a, b) for a, b in arrows if order.index(room(b)) > order.index(room(a))}

    assert {room(name) for name in inside} == set(order)
    assert upwards == {(a, b) for a, b in UPWARDS if a in inside}


@pytest.mark.parametrize(("package", "most"), CIRCLES.items())
def test_few_modules_of_a_package_import_each_other_in_a_circle(package: str, most: int) -> None:
    modules = _modules()
    arrows = {name: _imported_by(path, modules) for name, path in modules.items() if name.startswith(f"{package}.")}

    def reached_from(name: str) -> set[str]:
        reached: set[str] = set()
        to_see = [name]
        while to_see:
            new = arrows.get(to_see.pop(), set()) - reached
            reached |= new
            to_see += new
        return reached

    reach = {name: reached_from(name) for name in arrows}
    circles = {frozenset({name, *(other for other in reach[name] if name in reach.get(other, ()))}) for name in reach}

    assert [sorted(circle) for circle in circles if len(circle) > most] == []


def test_the_core_imports_nothing_inside_of_a_function() -> None:
    inside = []
    for package in ("promising", "messages", "supervision", "actors", "agents", "journal"):
        for path in (PACKAGE / package).rglob("*.py"):
            for function in ast.walk(ast.parse(path.read_text())):
                if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    imports = [node for node in ast.walk(function) if isinstance(node, ast.ImportFrom) and node.module]
                    inside += [
                        f"{path.name}: {node.module}"
                        for node in imports
                        if node.module.startswith("miniagents")  # type: ignore[union-attr]
                    ]
    assert inside == []


def test_importing_the_package_loads_no_optional_library() -> None:
    optional = ["openai", "anthropic", "starlette", "uvicorn", "ray", "rich", "opentelemetry", "xllamacpp", "anyio"]
    code = (
        "import sys, msgspec; before = set(sys.modules); "
        "import miniagents, miniagents.ext.telemetry, miniagents.journal; "
        f"print([name for name in {optional!r} if name in sys.modules and name not in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.strip() == "[]"


def test_importing_the_operations_of_the_journal_does_not_load_sqlite() -> None:
    code = (
        "import sys, msgspec, structlog; before = set(sys.modules); import miniagents, miniagents.journal.waits; "
        "print(*[name for name in sys.modules if name not in before and 'sqlite' in name]); "
        "from miniagents.journal import SqliteJournal; print('sqlite3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.splitlines() == ["", "True"]


def test_a_journal_is_used_and_tested_where_no_extra_is_installed() -> None:
    extras = ["openai", "anthropic", "starlette", "uvicorn", "websockets", "opentelemetry", "cronsim", "psutil", "rich"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({extras!r})); "  # to import one of them is an error now
        "import asyncio, tempfile, miniagents.journal as journal; "
        "print(*[name for name in sys.modules if name.startswith('miniagents.ext')]); "
        "from miniagents.testing import check_journal; folder = tempfile.TemporaryDirectory(); "
        "store = journal.SqliteJournal(folder.name + '/a.db'); asyncio.run(check_journal(lambda: store)); print('kept')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.splitlines() == ["", "kept"]


def test_the_public_names_are_all_there_and_sorted() -> None:
    assert miniagents.__all__ == sorted(miniagents.__all__)
    assert [name for name in miniagents.__all__ if not hasattr(miniagents, name)] == []


def test_importing_the_package_loads_none_of_its_parts() -> None:
    code = "import sys, miniagents; print(*[name for name in sys.modules if name.startswith('miniagents')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.split() == ["miniagents"]


def test_a_public_name_loads_no_package_above_its_own() -> None:
    code = (
        "import sys; from miniagents import Message, Supervisor; "
        "print([name for name in ('supervision', 'actors', 'agents') if f'miniagents.{name}' in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.strip() == "['supervision']"


def test_a_public_name_is_what_type_checkers_take_it_for() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (typed, *_) = [node for node in tree.body if isinstance(node, ast.If)]
    sources = {name.name: node.module for node in typed.body if isinstance(node, ast.ImportFrom) for name in node.names}

    assert {*sources, "__version__"} == set(miniagents.__all__)
    for name, module in sources.items():
        assert getattr(miniagents, name) is getattr(importlib.import_module(str(module)), name), name


def test_a_star_import_and_dir_give_all_public_names() -> None:
    names: dict[str, object] = {}
    exec("from miniagents import *", names)

    assert set(miniagents.__all__) <= set(names)
    assert set(miniagents.__all__) <= set(dir(miniagents))


def test_a_name_that_the_package_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'miniagents' has no attribute 'MiniAgnets'"):
        miniagents.MiniAgnets  # type: ignore[attr-defined]  # noqa: B018 - the look-up is the test
    with pytest.raises(ImportError, match="cannot import name 'MiniAgnets' from 'miniagents'"):
        from miniagents import MiniAgnets  # type: ignore[attr-defined]  # noqa: F401


def test_every_error_can_be_imported_from_the_package() -> None:
    names = [name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)]

    assert len(names) > 40
    assert [name for name in names if getattr(miniagents, name, None) is not getattr(errors, name)] == []
    assert set(names) <= set(miniagents.__all__)


def test_the_version_is_that_of_the_distribution() -> None:
    assert miniagents.__version__ == importlib.metadata.version("miniagents")


def test_the_modules_that_others_rely_on_can_be_imported_by_name() -> None:
    code = "import miniagents.miniagents, miniagents.messages, miniagents.promising, miniagents.ext"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)


def test_the_package_ships_its_types() -> None:
    assert (PACKAGE / "py.typed").exists()


def test_the_tests_have_the_folders_of_the_package() -> None:
    across = {"benchmarks", "clients", "examples", "otp", "reference", "release", "soak", "storms"}
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}

    strangers = {folder for folder in folders if not across & set(folder.parts) and not (PACKAGE / folder).is_dir()}

    assert len(folders) > 20
    assert strangers == set()


def test_the_page_on_the_tests_names_folders_and_files_that_are_there() -> None:
    page = (TESTS.parent / "docs" / "contributing" / "tests.md").read_text()
    absent = []
    for cell in re.findall(r"\| ([^|]+)(?= \|)", page):
        folder = TESTS.parent
        for name in re.findall(r"`([\w/.]+(?:/|\.py|\.md))`", cell):
            path = TESTS.parent / name if "/" in name else folder / name
            folder = path if name.endswith("/") else path.parent
            if not path.exists():
                absent.append(f"{name} in: {cell}")

    assert absent == []


def test_every_test_that_the_code_names_is_there() -> None:
    defined = {name for path in TESTS.rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}

    named = {name for path in PACKAGE.rglob("*.py") for name in re.findall(r"# .*\b(test_\w{20,})", path.read_text())}

    assert named
    assert named - defined == set()
