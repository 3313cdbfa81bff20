"""The reports of a shop."""

from pathlib import Path


def write(path: Path, lines: list[str]) -> None:
    """Write a report, one line for each account."""
    file = open(path, "w", encoding="utf-8")
    for line in lines:
        name, amount = line.split(";")
        file.write(f"{name}: {float(amount):.2f}\n")
    file.close()
