"""An MCP server that shows a folder of Python files: `python -m examples.code_review.server FOLDER`."""

import sys
from pathlib import Path

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

LOOKS = ToolAnnotations(read_only_hint=True)


def make_server(root: Path) -> MCPServer:
    """Return a server for a folder.

    Args:
        root: The folder. Files outside of it cannot be read, by links neither.
    """
    root = root.resolve()
    server = MCPServer("repository")

    @server.tool(annotations=LOOKS)
    def list_files() -> str:
        """Lists the Python files of the repository, one a line."""
        files = [path for path in root.rglob("*.py") if path.is_file() and path.resolve().is_relative_to(root)]
        return "\n".join(sorted(str(path.relative_to(root)) for path in files))

    @server.tool(annotations=LOOKS)
    def read_file(path: str) -> str:
        """Reads a file. Each line begins with its number."""
        file = (root / path).resolve()
        if not file.is_relative_to(root) or not file.is_file():
            raise ValueError(f"{path}: there is no such file in the repository")
        lines = file.read_text(encoding="utf-8").splitlines()
        return "\n".join(f"{number}: {line}" for number, line in enumerate(lines, 1))

    return server


if __name__ == "__main__":
    make_server(Path(sys.argv[1])).run("stdio")
