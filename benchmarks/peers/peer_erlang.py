"""Erlang's gen_server, the reference outside Python: `gen_server_peer.erl`, compiled by `erlc`, one scheduler (`+S 1`).

The emulator inherits the one core of this process. Each measurement is an emulator of its own, which warms up itself.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import AGENTS, Stamp, main, unsupported

HERE = Path(__file__).parent
SOURCES = [str(HERE / "gen_server_peer.erl"), str(HERE / "supervisor_peer.erl")]


def erlang(workload: Any, n: int) -> Any:
    """The numbers that the emulator printed."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["erlc", "-o", folder, *SOURCES], check=True)
        call = f'gen_server_peer:main(["{workload}", "{n}"]).'
        command = ["erl", "-noshell", "-noinput", "+S", "1", "-pa", folder, "-eval", call]
        quiet = {**os.environ, "ERL_CRASH_DUMP_SECONDS": "0"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=200, env=quiet)
    return [int(word) for word in done.stdout.split()]


def timed(workload: Any, about: Any = None) -> Callable[..., Any]:
    def run(n: int) -> tuple[Any, int]:
        wall, cpu, operations = erlang(workload, n)
        return Stamp((wall / 1e6, cpu / 1e6)), operations

    run.note = about  # type: ignore[attr-defined]
    return run


def release() -> Any:
    printed = 'io:format("~s", [erlang:system_info(otp_release)]), halt().'
    return subprocess.run(["erl", "-noshell", "-eval", printed], capture_output=True, text=True).stdout


def memory(n: int) -> Any:
    (found,) = erlang("spawn_mem", n)
    return found


DEFAULTS = dict(
    tell=1_000_000, ask=300_000, ask_concurrent=300_000, ring=500_000, fanout=300_000, spawn=100_000, stop=100_000,
    stream=500_000, stream_live=200_000, stream3=300_000, stream3_live=200_000, crash=2_000, recovery=2_000,
    spawn_mem=100_000,
)  # fmt: skip
NOTES = dict(
    tell="gen_server:cast",
    ask="gen_server:call",
    ask_concurrent="gen_server:send_request and receive_response",
    spawn="gen_server:start, which returns when init has",
    stop="exit(Pid, shutdown) for all, then a DOWN message of each",
    stream_live="erlang:yield() after each token",
    crash="restarts: by a supervisor, until the fresh process has its name; 2,000 of them, since it goes through a list of "
    "the restarts of the last second at each one",
    recovery="restarts: by a supervisor; what waited in the mailbox is gone, and calls are repeated until one is answered",
)

if __name__ == "__main__":
    main(
        "gen_server",
        None,
        dict(
            {name: timed(name, NOTES.get(name)) for name in DEFAULTS if name != "spawn_mem"},
            spawn_mem=memory,
            **unsupported("no agents, see ask", *AGENTS),
            **unsupported("terms are no objects with hashes", "flatten", "hash_key", "hash_key_cached"),
            **unsupported("term_to_binary is another format, without types", "encode", "decode"),
        ),
        DEFAULTS,
        loops=(),
        ver=f"OTP {release()}",
    )
