"""What each test of MCP servers begins with."""

import psutil
import pytest

from tests.ext.mcp.servers import STRANGERS


@pytest.fixture(autouse=True)
def strangers() -> None:
    """Note the processes that other tests have left running on purpose."""
    STRANGERS.clear()
    STRANGERS.update(child.pid for child in psutil.Process().children(recursive=True))
