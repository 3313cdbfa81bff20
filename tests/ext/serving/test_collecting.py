"""The garbage collector of a service."""

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from miniagents import InvalidOptionError
from miniagents.ext.serving import agent_app
from tests.ext.serving.agents import echo

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("thresholds")
generations = pytest.mark.skipif(sys.version_info >= (3, 14), reason="the collector is left alone")


@generations
async def test_an_app_sets_the_garbage_collector_as_long_as_it_runs() -> None:
    async with agent_app(echo, auth=None, admin_auth=None, gc="service").lifespan():
        assert gc.get_threshold() == (2000, 11, 1000)

    assert gc.get_threshold() == (701, 11, 12)


async def test_an_app_leaves_the_garbage_collector_alone_by_default() -> None:
    async with agent_app(echo, auth=None, admin_auth=None).lifespan():
        assert gc.get_threshold() == (701, 11, 12)


def test_an_app_refuses_another_setting() -> None:
    wrong: Any = "fast"

    with pytest.raises(InvalidOptionError, match="gc= must be 'service' or None, not 'fast'"):
        agent_app(echo, auth=None, admin_auth=None, gc=wrong)


SERVED = """
import gc, os, signal
from miniagents import InteractionContext, miniagent
from miniagents.ext.serving import agent_app

@miniagent
async def echo(ctx: InteractionContext) -> None:
    ctx.reply("Hi")

async def start(system) -> None:
    print(gc.get_threshold()[2])
    os.kill(os.getpid(), signal.SIGTERM)

app = agent_app(echo, auth=None, admin_auth=None, on_start=start)
"""


@generations
@pytest.mark.parametrize(("arguments", "third"), [([], "1000"), (["--gc", "python"], str(gc.get_threshold()[2]))])
def test_the_command_sets_it_unless_it_is_told_not_to(tmp_path: Path, arguments: list[str], third: str) -> None:
    (tmp_path / "served.py").write_text(SERVED)
    command = [sys.executable, "-m", "miniagents.ext.serving.command", "served:app", "--port", "0", *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}

    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50, check=False
    )

    assert done.stdout.split() == [third], done.stderr
