"""The package as a whole: its layers, what importing it loads, and its public names."""

import ast
import importlib.metadata
import inspect
import re
import subprocess
import sys
from pathlib import Path

import miniagents
from miniagents import errors

PACKAGE = Path(miniagents.__file__).parent

LAYERS = [
    "errors",
    "promising",
    "messages",
    "supervision",
    "actors",
    "journal",
    "agents",
    "miniagents",
    "ext",
    "testing",
    "cli",
]


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


def test_importing_the_package_loads_no_optional_library() -> None:
    optional = ["openai", "anthropic", "starlette", "uvicorn", "ray", "rich", "opentelemetry", "xllamacpp", "anyio"]
    # structlog's console loads rich where it is installed; what counts is what the package adds to that.
    code = (
        "import sys, msgspec, structlog; before = set(sys.modules); import miniagents, miniagents.ext.telemetry; "
        f"print([name for name in {optional!r} if name in sys.modules and name not in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_all_there_and_sorted() -> None:
    assert miniagents.__all__ == sorted(miniagents.__all__)
    assert [name for name in miniagents.__all__ if not hasattr(miniagents, name)] == []


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


def test_every_test_that_the_code_names_is_there() -> None:
    folder = Path(__file__).parent
    defined = {name for path in folder.rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}

    named = {name for path in PACKAGE.rglob("*.py") for name in re.findall(r"# .*\b(test_\w{20,})", path.read_text())}

    assert named
    assert named - defined == set()
