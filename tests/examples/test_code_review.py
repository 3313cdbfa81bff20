"""The crew that reviews a repository over MCP: run as a user runs it, and with a reviewer that fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples.code_review import scripted
from examples.code_review.crew import FAULTS, crew
from miniagents import MiniAgents
from miniagents.ext.mcp import McpServer
from miniagents.testing import Reply, Script, ScriptedModel

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples" / "code_review" / "shop"

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(120)]


def repository(folder: Path) -> McpServer:
    """The server of the example for a folder."""
    command = [sys.executable, "-m", "examples.code_review.server", str(folder)]
    return McpServer("repository", command=command, cwd=ROOT, required=True)


def test_it_finds_the_faults_of_the_shop_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.code_review"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "MODEL"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "accounts.py:8: rows = database.execute(f\"SELECT balance FROM accounts WHERE name = '{name}'\")",
        "  security: The value becomes a part of the SQL statement: pass it as a parameter.",
        "accounts.py:9: return float(rows.fetchone()[0])",
        "  edges: There may be nothing at all, and then this fails.",
        "accounts.py:14: return sum(balances) / len(balances)",
        "  edges: There may be nothing at all, and then this fails.",
        'reports.py:8: file = open(path, "w", encoding="utf-8")',
        "  resources: The file stays open if a later line fails: use `with`.",
        "This cannot be merged before these places are mended.",
    ]


async def test_a_reviewer_that_fails_costs_its_own_findings_alone() -> None:
    models = {kind: scripted.reviewer(kind) for kind in FAULTS}
    models["security"] = ScriptedModel.fork(script=Script(Reply.failure(401, error="the key is wrong")))
    models["edges"] = ScriptedModel.fork(
        script=Script('{"findings": [{"file": "reports.py", "line": 99, "problem": "It is made up."}]}')
    )

    async with MiniAgents():
        messages = [
            str(message) for message in await crew(models, scripted.judge(), repository(SHOP)).inquire("Review it.")
        ]

    assert messages[0].startswith("security: failed, ")
    assert messages[1:] == [
        'reports.py:8: file = open(path, "w", encoding="utf-8")\n'
        "  resources: The file stays open if a later line fails: use `with`.",
        "reports.py:99: no such line\n  edges: It is made up.",
        "This cannot be merged before these places are mended.",
    ]


async def test_the_server_shows_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "inside.py").write_text("x = 1\n")
    (tmp_path / "outside.py").write_text("secret = 1\n")
    (folder / "link.py").symlink_to(tmp_path / "outside.py")
    server = repository(folder)

    async with MiniAgents():
        await server.started()
        assert str(await server.call("list_files")) == "inside.py"
        assert str(await server.call("read_file", path="inside.py")) == "1: x = 1"
        for path in ("../outside.py", "link.py", str(tmp_path / "outside.py"), "no.py"):
            refusal = await server.call("read_file", path=path)
            assert refusal.is_error
            assert "secret" not in str(refusal)
