"""Packages of an extra, whose modules are loaded with the first of the names that they have."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from miniagents.errors import MissingDependencyError


def lazy_names(package: str, modules: Mapping[str, str], extra: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package, which loads the module of a name at its first use.

    Args:
        package: The name of the package.
        modules: The modules, by the names that they have.
        extra: The extra that installs what the modules need.

    Example:
        >>> lazy_names("package", {"JSONDecoder": "json.decoder"}, "serve")("JSONDecoder").__name__
        'JSONDecoder'
    """

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = importlib.import_module(modules[name])
        except ModuleNotFoundError as error:
            raise MissingDependencyError(f"{package} needs {error.name}: pip install 'miniagents[{extra}]'") from error
        return getattr(module, name)

    return load
