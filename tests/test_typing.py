"""What type checkers see of the package: `tests/typing` says it, and lint compares it, with mypy and pyright."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(200)  # without the cache of `make lint`, mypy reads all clients of models first
def test_mypy_sees_of_the_package_what_the_modules_in_typing_say() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "tests/typing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert done.returncode == 0, done.stdout
