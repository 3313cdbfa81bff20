"""`miniagents bench`: measuring the runtime with built-in workloads, or an agent of the user."""

from miniagents.cli.bench.command import add_bench

__all__ = ["add_bench"]
