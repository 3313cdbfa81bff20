"""`miniagents tree`: the supervision tree of a running process."""

from typing import TYPE_CHECKING, Any

import click

from miniagents.cli.printing import plain, seconds
from miniagents.cli.running.options import ask_at, at_process, process_options
from miniagents.ext.command_line import Command

if TYPE_CHECKING:
    from miniagents.cli.running.processes import Process

_EXAMPLES = """
  miniagents tree                            the first 1,000 actors of the only process
  miniagents tree /agents --depth 1
  miniagents tree --json | jq '.result.nodes[] | select(.restarts > 0) | .path'
"""


@click.command("tree", cls=Command, epilog=_EXAMPLES)
@click.argument("path", default="/")
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Levels below PATH (default: all).")
@click.option("--limit", type=click.IntRange(1), metavar="N", default=1000, show_default=True, help="Actors at most.")
@process_options
def tree(path: str, depth: int | None, limit: int) -> int:
    """Show the supervision tree of a running process.

    PATH is the place to begin at, by default the root. Each line has the name of an actor, its state, the messages that
    wait, those that it has handled, its restarts and its last error.
    """

    def do(process: "Process") -> Any:
        nodes: list[Any] = []
        cursor: str | None = ""
        while cursor is not None and len(nodes) < limit:
            arguments = {"path": path, "depth": depth, "limit": limit - len(nodes), "cursor": cursor}
            page = ask_at(process, "system.tree", **arguments)
            nodes += page["nodes"]
            cursor = page["cursor"]
        return {"nodes": nodes, "is_whole": cursor is None}

    return at_process(do, drawn)


def drawn(result: Any) -> str:
    """Return the nodes of a tree as lines, indented by their depth."""
    nodes = result["nodes"]
    top = nodes[0]["path"].rstrip("/").count("/")
    lines = [_line(node, node["path"].rstrip("/").count("/") - top) for node in nodes]
    if not result["is_whole"]:
        lines.append("...")
    return "\n".join(lines)


def _line(node: Any, depth: int) -> str:
    name = node["path"] if depth == 0 else node["path"].rpartition("/")[2]
    facts = [node["state"]]
    if node["mailbox_depth"]:
        age = f" for {seconds(node['oldest_age'])}" if node["oldest_age"] else ""
        facts.append(f"{node['mailbox_depth']:,} waiting{age}")
    if node["handled"]:
        facts.append(f"{node['handled']:,} handled")
    if node["restarts"]:
        facts.append(f"{node['restarts']:,} restarts")
    tokens = node["tokens"] + node["below"]["tokens"]
    if tokens:
        facts.append(f"{tokens:,} tokens")
    if node["below"]["actors"]:
        facts.append(f"{node['below']['actors']:,} below")
    if node["last_error"] is not None:
        facts.append(plain(node["last_error"]))
    return f"{'  ' * depth}{plain(name)}  {', '.join(facts)}"
