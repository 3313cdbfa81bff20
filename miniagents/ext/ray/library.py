"""The library Ray, which is an extra: it is loaded when a cluster is opened, never with this package."""

import importlib
from typing import Any

from miniagents.errors import MissingDependencyError


def load_ray() -> Any:
    """Import Ray.

    Returns:
        The module.

    Raises:
        MissingDependencyError: Ray is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingDependencyError("RayCluster needs ray: pip install 'miniagents[ray]'") from error
