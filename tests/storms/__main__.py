"""Storms from the command line.

python -m tests.storms KIND FIRST COUNT       plays seeds of one kind, or of "all"
python -m tests.storms KIND SEED              plays one seed, makes it smaller, and shows its steps
python -m tests.storms all fresh COUNT        plays fresh seeds, and says which
"""

import argparse
import os
import random
import sys

from miniagents.errors import SimulationError
from miniagents.testing import simulate
from tests.storms.playing import KINDS, report, storm_of


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storms", description="Play storms.")
    parser.add_argument("kind", choices=[*KINDS, "all"])
    parser.add_argument("first", help='the first seed, or "fresh"')
    parser.add_argument("count", nargs="?", type=int, help="how many seeds; none for one seed and all its steps")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    first = random.SystemRandom().randrange(10**9) if given.first == "fresh" else int(given.first)
    kinds = KINDS if given.kind == "all" else [given.kind]
    if given.count is None:
        return max(show(kind, first) for kind in kinds)
    seeds = range(first, first + given.count)
    return 0 if all([report(kind, seeds, given.processes) for kind in kinds]) else 1


def show(kind: str, seed: int) -> int:
    """Play one seed, and show the smallest run that fails."""
    module = storm_of(kind)
    try:
        simulate(module.storm, seeds=[seed], until=module.UNTIL)
    except SimulationError as error:
        print(error)
        print("all steps:", *error.trace, sep="\n  ")
        return 1
    print(f"{kind}: seed {seed} passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
