"""Programs in processes of their own, with hash seeds that are given."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def printed(program: str, seed: str) -> str:
    """Run a program of Python in a process of its own, and return what it prints.

    Args:
        program: Its source.
        seed: The seed of its hashes.
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    return done.stdout.strip()
