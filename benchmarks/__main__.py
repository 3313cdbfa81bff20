"""`python -m benchmarks run`: measure beside the peers. `python -m benchmarks compare old.json new.json`."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.report import comparison, markdown
from benchmarks.runner import HERE, RUNS, WORKLOADS, machine, measure

QUICK_PEERS = ("miniagents", "raw-deque")
QUICK_WORKLOADS = ("tell", "ask", "ask_concurrent", "ring", "spawn", "stream_live", "agent_call", "spawn_mem")


def main() -> int:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, and write RESULTS.md and results.json")
    run.add_argument("--rounds", type=int, default=4, help="how often everything is measured")
    run.add_argument(
        "--quick", action="store_true", help="a minute: few workloads, beside the floor alone; only printed"
    )
    run.add_argument("--peers", nargs="*", choices=list(RUNS), default=list(RUNS))
    run.add_argument("--workloads", nargs="*", choices=WORKLOADS, default=list(WORKLOADS))
    run.add_argument(
        "--environments", type=Path, default=HERE.parent / ".venvs-bench", help="where peers are installed"
    )
    compare = commands.add_parser("compare", help="what changed beyond noise between two results.json")
    compare.add_argument("old", type=Path)
    compare.add_argument("new", type=Path)
    args = parser.parse_args()
    if args.command == "compare":
        print(comparison(json.loads(args.old.read_text()), json.loads(args.new.read_text())))
        return 0
    peers, workloads = (QUICK_PEERS, QUICK_WORKLOADS) if args.quick else (args.peers, args.workloads)
    rounds = 2 if args.quick else args.rounds
    rows = list(measure(list(peers), list(workloads), rounds, args.environments))
    results = {"machine": machine(), "rounds": rounds, "rows": rows}
    page = markdown(results)
    if args.quick:
        print(page)
    else:
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (HERE / "RESULTS.md").write_text(page)
        print(f"written: {HERE / 'RESULTS.md'}, {HERE / 'results.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
