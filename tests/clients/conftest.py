"""The service that all clients ask, and the processes in which they run."""

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.clients.contract")

from tests.clients.contract import Client, Contract, Service  # noqa: E402

TESTS = Path(__file__).parent
ROOT = TESTS.parents[1]
INSTALLED = ROOT / ".venv-clients" / "bin"
"""Where `make clients` installs Node, and clients that need an environment of their own."""

QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_AGENTS_DISABLE_TRACING": "1", "LANGSMITH_TRACING": "false"}


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    with running_service() as service:
        yield service


@contextmanager
def running_service() -> Iterator[Service]:
    """A service in a process of its own."""
    token = secrets.token_hex(16)
    command = ["-m", "miniagents.ext.serving.command", "tests.clients.service:app", "--port", "0", "--mcp"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MINIAGENTS_TOKEN": token, "MINIAGENTS_ADMIN_TOKEN": "admin"}
    with subprocess.Popen([sys.executable, *command], env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            while "running on " not in (line := process.stderr.readline()):
                assert line, "the service has ended"
            draining = threading.Thread(target=process.stderr.read)
            draining.start()
            yield Service(line.split("running on ")[1].split()[0], token)
        finally:
            process.terminate()
        draining.join()
    assert process.returncode == 0


def command_of(kind: type[Contract]) -> list[str]:
    """What runs the script of a client; where that is not installed, its tests are skipped."""
    if kind.runtime == "tests":
        return [sys.executable, str(TESTS / "python" / "worker.py"), kind.script]
    if kind.runtime == "clients":
        needs, command = INSTALLED / ".python-clients", [INSTALLED / "python", TESTS / "python" / "worker.py"]
    else:
        needs, command = INSTALLED / ".node-clients", [INSTALLED / "node", TESTS / "node" / "worker.mjs"]
    if not needs.exists():
        pytest.skip(f"{kind.script} is not installed: make clients")
    return [*map(str, command), kind.script]


@pytest.fixture(scope="class")
def client(request: pytest.FixtureRequest, service: Service) -> Iterator[Client]:
    with running_client(request.cls, service) as client:
        yield client


@contextmanager
def running_client(kind: type[Contract], service: Service) -> Iterator[Client]:
    """The process of a client."""
    command, pipe = command_of(kind), subprocess.PIPE
    here = {"SERVICE_URL": service.url, "SERVICE_TOKEN": service.token}
    environment = {**os.environ, **QUIET, **here, "SERVICE_PYTHON": sys.executable, "SERVICE_ROOT": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Client(process)
        finally:
            process.kill()  # it may hang in a test that has failed


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test of a client runs with each of its APIs."""
    kind = metafunc.cls
    if kind is not None and issubclass(kind, Contract) and "api" in metafunc.fixturenames:
        metafunc.parametrize("api", kind.apis)
