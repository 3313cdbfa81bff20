"""`miniagents bench`: the built-in workloads, or calls of an agent of the user's own."""

from miniagents.cli.bench.command import add_bench

__all__ = ["add_bench"]
