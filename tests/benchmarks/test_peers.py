"""The peers that need nothing but the package: every workload runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.catalog import COMMANDS, ENVIRONMENTS, PEERS, WORKLOADS, Peer
from benchmarks.runner import FILES, CannotRunError, describe, measure

HERE = [peer for peer in PEERS.values() if peer.environment == "ours"]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("peer", HERE, ids=lambda peer: peer.name)
def test_every_workload_of_a_peer_runs(peer: Peer) -> None:
    command = [sys.executable, peer.file, *peer.arguments, "check"]

    done = subprocess.run(command, cwd=FILES, capture_output=True, text=True, timeout=380, check=True)

    found = json.loads(done.stdout)
    assert found["failed"] == {}
    assert set(found["checked"]) | set(found["unsupported"]) <= set(WORKLOADS)


def test_ours_has_every_workload() -> None:
    _, found = describe("miniagents", Path("nowhere"))

    assert set(found["workloads"]) == set(WORKLOADS)
    assert found["unsupported"] == {}


def test_every_peer_has_its_file_and_its_environment() -> None:
    for peer in PEERS.values():
        assert (FILES / peer.file).is_file()
        assert peer.environment in ENVIRONMENTS
    assert COMMANDS.keys() <= ENVIRONMENTS.keys()


def test_a_measurement_is_a_row_with_a_rate_for_both_clocks() -> None:
    rows = list(measure(["msgspec"], ["encode", "flatten"], 2, Path("nowhere")))

    unsupported = [row for row in rows if "unsupported" in row]
    assert [(row["peer"], row["workload"]) for row in unsupported] == [("msgspec", "flatten")]
    measured = [row for row in rows if row not in unsupported]
    assert [row["round"] for row in measured] == [0, 1]
    assert all(row["per_s"] > 0 and row["per_cpu_s"] > 0 for row in measured)


def test_a_peer_whose_environment_cannot_be_made_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda command: None)

    rows = list(measure(["gen_server", "msgspec"], ["encode"], 1, Path("nowhere")))

    assert rows[0] == {
        "peer": "gen_server",
        "skipped": "there is no `erl` here (Debian: apt-get install erlang-base)",
    }
    assert rows[1]["peer"] == "msgspec"


def test_what_cannot_be_installed_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="a warning\nERROR: No matching distribution found\n")

    monkeypatch.setattr(subprocess, "run", fail)
    monkeypatch.setitem(ENVIRONMENTS, "actors", ("no-such-package",))

    with pytest.raises(CannotRunError, match="no-such-package cannot be installed: ERROR: No matching distribution"):
        describe("pykka", tmp_path)


@pytest.mark.skipif(shutil.which("erlc") is None, reason="Erlang is not installed")
def test_the_erlang_peer_compiles_without_warnings(tmp_path: Path) -> None:
    sources = sorted(str(path) for path in FILES.glob("*.erl"))

    done = subprocess.run(
        ["erlc", "-Werror", "-o", str(tmp_path), *sources], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")
