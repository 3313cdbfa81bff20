"""Every Python block of the documentation runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{path.name}-{number}")
    for path in FILES
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", path.read_text(), re.S | re.M), 1)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_prints_what_its_comments_say(block: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    for said in re.findall(r"print\(.*\)  # (?:prints )?\"?([^\":\n]+(?:: \w+!?)?)", block):
        assert said in done.stdout


def test_links_of_the_documentation_lead_somewhere() -> None:
    for path in FILES:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_test_that_the_documentation_names_exists() -> None:
    defined = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    for path in (ROOT / "docs" / "guarantees.md", ROOT / "tests" / "supervision" / "SUPERVISOR_SUITE.md"):
        assert set(re.findall(r"`(test_\w+)`", path.read_text())) - defined == set()
