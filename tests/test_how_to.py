"""The pages of docs/how-to whose blocks are no programs: tests, the cells of a notebook, and files for deploying."""

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from miniagents.ext.serving import agent_app
from miniagents.ext.serving.command import serve
from miniagents.testing import Script, ScriptedModel

HOW_TO = Path(__file__).parents[1] / "docs" / "how-to"

LAST_SECONDS = 6.0
"""What a service may take after its grace: 5 s for agents that swallow their cancellation, 1 s for last answers."""


def blocks(page: str, fence: str) -> list[str]:
    """The code blocks of a page that begin with a fence, for example `python`."""
    return re.findall(rf"^```{fence}\n(.*?)^```", (HOW_TO / page).read_text(), re.S | re.M)


async def test_the_cells_of_the_notebook_run_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}

    for cell in blocks("jupyter.md", r'python title="In \[\d+\]"'):
        outcome = eval(compile(cell, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if inspect.iscoroutine(outcome):  # the cell has an await, as IPython finds out, too
            await outcome
        printed = capsys.readouterr().out
        assert [text for text in re.findall(r'# prints "(.*)"$', cell, re.M) if text not in printed] == []

    assert names["system"].is_running is False


@pytest.mark.parametrize(
    "block", [pytest.param(block, id=str(n)) for n, block in enumerate(blocks("testing.md", "python"))]
)
def test_the_tests_of_the_page_on_testing_pass(block: str) -> None:
    names: dict[str, Any] = {"__name__": "test_page"}
    exec(compile(block, "test_page.py", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]

    assert len(tests) == 1
    tests[0]()


def test_the_pods_of_the_page_on_kubernetes_fit_the_service() -> None:
    yaml = pytest.importorskip("yaml")
    (manifest,) = blocks("kubernetes.md", "yaml")
    deployment, service, budget = yaml.safe_load_all(manifest)
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]

    # The endpoints that are probed exist, and the arguments are those of the command.
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert probes == {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}
    with TestClient(agent_app(ScriptedModel.fork(script=Script("Hi")), auth=None, admin_auth=None)) as client:
        assert [client.get(path, headers={"host": "10.0.0.7"}).status_code for path in probes.values()] == [200] * 3
    options = serve.make_context("serve", container["args"][2:]).params
    assert options["port"] == container["ports"][0]["containerPort"]

    # The pod may take longer to stop than the service needs.
    seconds = container["lifecycle"]["preStop"]["sleep"]["seconds"] + options["grace"] + LAST_SECONDS
    assert pod["spec"]["terminationGracePeriodSeconds"] > seconds

    # All three mean the same pods.
    labels = pod["metadata"]["labels"]
    selectors = deployment["spec"]["selector"], budget["spec"]["selector"]
    assert [selector["matchLabels"] for selector in selectors] == [labels, labels]
    assert service["spec"]["selector"] == labels


def test_systemd_waits_longer_than_the_service_needs_to_stop() -> None:
    (unit,) = blocks("systemd.md", "ini")
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit, re.M))
    options = serve.make_context("serve", settings["ExecStart"].split()[2:]).params

    assert float(settings["TimeoutStopSec"]) > options["grace"] + LAST_SECONDS


def test_the_container_has_the_service_as_its_first_process() -> None:
    (file,) = blocks("docker.md", "dockerfile")
    (command,) = re.findall(r"^CMD (\[.*\])$", file, re.M)
    program, name, *arguments = json.loads(command)  # a list: no shell stands in between
    (stop,) = re.findall(r"--stop-timeout (\d+)", blocks("docker.md", "sh")[0])

    assert (program, name) == ("miniagents", "serve")
    assert float(stop) > serve.make_context("serve", arguments).params["grace"] + LAST_SECONDS


def test_the_django_site_of_the_page_answers(tmp_path: Path) -> None:
    pytest.importorskip("django", reason="Django is no dependency of the tests: pip install django")
    site = blocks("django.md", 'python title="shop.py"')[0]
    (tmp_path / "shop.py").write_text(site)

    done = subprocess.run(
        [sys.executable, "shop.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == re.findall(r'# prints "(.*)"$', site, re.M)
