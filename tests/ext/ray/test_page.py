"""The files on the page about clusters on Ray, as far as they can be checked without Kubernetes and Slurm."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "guides" / "cluster-on-ray.md").read_text()


def block(language: str) -> str:
    """The code block of a language."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(code)


def test_the_manifest_for_kubernetes_offers_the_resource_that_the_program_asks_for() -> None:
    yaml: Any = pytest.importorskip("yaml", reason="PyYAML is not installed")
    manifest = yaml.safe_load(block("yaml"))

    (group,) = manifest["spec"]["workerGroupSpecs"]
    (resources,) = shlex.split(group["rayStartParams"]["resources"])  # a shell reads the command that KubeRay makes

    assert json.loads(resources) == {"miniagents": 1}
    assert f'address="{manifest["metadata"]["name"]}-head-svc:6379", resource="miniagents"' in PAGE


def test_the_script_for_slurm_is_one_that_bash_can_read_and_offers_the_same_resource() -> None:
    script = block("bash")

    subprocess.run(["bash", "-n"], input=script, text=True, check=True)

    (resources,) = re.findall(r"--resources='(.*?)'", script)
    assert json.loads(resources) == {"miniagents": 1}
