"""The desk with two MCP servers, run as a user runs it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_desk_survives_the_crash_of_a_server_and_asks_before_it_changes_anything() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.mcp_desk"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "MODEL"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "mcp.down" in done.stderr
    lines = done.stdout.splitlines()
    has_clock = importlib.util.find_spec("mcp_server_time") is not None
    assert lines[:2] == [
        "> Where is the printer, and what is noon UTC in Tokyo? Then publish my notes.",
        "notes_find: The printer is in room 12.",
    ]
    assert (lines[2] == "clock_convert_time: {") is has_clock
    assert lines[3 if has_clock else 2 :] == [
        "approve notes_publish({})? yes",
        "notes_publish failed: failed: McpOutcomeUnknownError: the outcome is unknown: the MCP server 'notes' ended "
        "before it answered (the process ended with exit code 1). It may have done what it was asked, or not: look "
        "before you ask again",
        "I am not sure that the notes are published: please look.",
        "the notes are back: The printer is in room 12.",
        "> Then make a note to ask about it.",
        'approve notes_add({"text":"Ask about publishing."})? yes',
        "notes_add: Note 2 was added.",
        "I have added a note.",
    ]
