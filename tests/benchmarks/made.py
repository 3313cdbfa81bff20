"""Results as a run would write them, made of what a test says."""

from typing import Any

from benchmarks.catalog import PEERS, WORKLOADS

MACHINE = {
    "cpu": "A CPU",
    "cores": 2,
    "memory": 24 * 2**30,
    "system": "Linux 6.1",
    "python": "3.11.7",
    "pinned": True,
    "load1": 1.0,
}


def results(values: dict[str, dict[str, list[float]]], *more: dict[str, Any], **machine: Any) -> dict[str, Any]:
    """Results with these values, by workload and peer, one for each round.

    Args:
        values: The values.
        *more: Rows as they are.
        **machine: Facts of the machine that are others.
    """
    rows: list[dict[str, Any]] = []
    for workload, peers in values.items():
        for peer, rounds in peers.items():
            assert peer in PEERS
            for number, value in enumerate(rounds):
                row: dict[str, Any] = {"peer": peer, "workload": workload, "round": number, "version": "1.0"}
                if WORKLOADS[workload].shown == "bytes":
                    row["bytes"] = value
                elif WORKLOADS[workload].shown in ("ratio", "ms"):
                    row["value"] = value
                else:
                    row |= {"per_s": value, "per_cpu_s": value * 1.1}
                rows.append(row)
    count = max((len(rounds) for peers in values.values() for rounds in peers.values()), default=1)
    return {"machine": {**MACHINE, **machine}, "rounds": count, "rows": [*rows, *more]}
