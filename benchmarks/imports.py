"""The time of an import, as a multiple of that of asyncio: `python -m benchmarks.imports`.

The time is the sum over all modules that an interpreter loads for a statement (`-X importtime`), without those that it
loads for nothing. Each is a process of its own, with compiled modules; the two of a round run one after the other.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

STATEMENTS = {
    "bare": "import miniagents",
    "used": "import miniagents; miniagents.MiniAgents",
}
"""The measured statements. A name of the package is imported with its first use, so that the second one tells what a
program of agents waits for."""


def modules_of(statement: str, environment: dict[str, str]) -> dict[str, int]:
    """Return the microseconds of each module that an interpreter loads for a statement, without those below it."""
    command = [sys.executable, "-X", "importtime", "-c", statement]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    rows = (line.removeprefix("import time:").split("|") for line in ran.stderr.splitlines())
    return {row[2].strip(): int(row[0]) for row in rows if len(row) == 3 and row[0].strip().isdigit()}


def ratio(statement: str, rounds: int) -> float:
    """Return the time of a statement as a multiple of `import asyncio`, both the shortest of some rounds."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        empty = modules_of("pass", environment).keys()

        def time_of(imports: str) -> int:
            return sum(time for name, time in modules_of(imports, environment).items() if name not in empty)

        time_of(statement)  # compiles the modules
        time_of("import asyncio")
        times = [(time_of(statement), time_of("import asyncio")) for _ in range(rounds)]
    return min(ours for ours, _ in times) / min(asyncio for _, asyncio in times)


def main() -> None:
    """Print the ratios, or one of them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=11, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--one", choices=STATEMENTS, help="print the ratio of this statement as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps({"ratio": ratio(STATEMENTS[arguments.one], arguments.rounds)}))
        return
    for statement in STATEMENTS.values():
        print(f"{statement}: {ratio(statement, arguments.rounds):.2f} times import asyncio")


if __name__ == "__main__":
    main()
