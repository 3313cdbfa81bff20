"""`python -m benchmarks run`: measure the runtime and its peers. `python -m benchmarks compare old.json new.json`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.catalog import FLOOR, OURS, PEERS, WORKLOADS
from benchmarks.compare import comparison
from benchmarks.report import markdown, summary
from benchmarks.runner import HERE, machine, measure

QUICK_PEERS = (OURS, FLOOR)
QUICK_WORKLOADS = (
    "tell", "ask", "ask_concurrent", "spawn", "stream_live", "crash", "agent_call", "agent_loop", "spawn_mem",
)  # fmt: skip


def main() -> int:
    """Run the command of the arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, and write RESULTS.md, results.json and the plots")
    run.add_argument(
        "--rounds", type=int, default=5, help="how often everything is measured; 4 or more can be compared"
    )
    run.add_argument(
        "--quick", action="store_true", help="a minute: few workloads, beside the floor alone; only printed"
    )
    run.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    run.add_argument("--workloads", nargs="*", choices=list(WORKLOADS), default=list(WORKLOADS))
    run.add_argument(
        "--environments", type=Path, default=HERE.parent / ".venvs-bench", help="where peers are installed"
    )
    run.add_argument("--output", type=Path, default=HERE, help="the folder that the results go to")
    page = commands.add_parser("report", help="make RESULTS.md and the plots again, of a results.json")
    page.add_argument("--output", type=Path, default=HERE, help="the folder that the results are in")
    compare = commands.add_parser("compare", help="what changed beyond noise between two results.json")
    compare.add_argument("old", type=Path)
    compare.add_argument("new", type=Path)
    compare.add_argument("--peer", choices=list(PEERS), default=OURS, help="whose figures")
    args = parser.parse_args()
    if args.command == "compare":
        print(comparison(json.loads(args.old.read_text()), json.loads(args.new.read_text()), args.peer))
        return 0
    if args.command == "report":
        write(args.output, json.loads((args.output / "results.json").read_text()))
        return 0
    peers, workloads = (QUICK_PEERS, QUICK_WORKLOADS) if args.quick else (args.peers, args.workloads)
    rounds = 2 if args.quick else args.rounds
    rows: list[dict[str, Any]] = []
    try:
        for row in measure(list(peers), list(workloads), rounds, args.environments):
            rows.append(row)
    except KeyboardInterrupt:
        print("\ninterrupted: the results are those of what was measured", file=sys.stderr)
    results = {"machine": machine(), "rounds": rounds, "rows": rows}
    if args.quick:
        print(summary(results))
        return 0
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "results.json").write_text(as_json(results))
    write(args.output, results)
    return 0


def as_json(results: dict[str, Any]) -> str:
    """Write the results with one row on each line, so that diffs are readable."""
    rows = ",\n".join(json.dumps(row) for row in results["rows"])
    head = json.dumps({name: value for name, value in results.items() if name != "rows"}, indent=1)
    return f'{head[:-2]},\n "rows": [\n{rows}\n]}}\n'


def write(folder: Path, results: dict[str, Any]) -> None:
    """Write the plots and the page."""
    drawn: list[Path] = []
    try:
        from benchmarks.plots import draw
    except ImportError as error:
        print(f"no plots: {error}; they need `pip install miniagents[bench]`", file=sys.stderr)
    else:
        drawn = draw(results, folder / "plots")
    page = folder / "RESULTS.md"
    page.write_text(markdown(results, sorted({path.stem.rpartition("-")[0] for path in drawn})))
    for path in (page, *drawn):
        print(f"written: {path}")


if __name__ == "__main__":
    sys.exit(main())
