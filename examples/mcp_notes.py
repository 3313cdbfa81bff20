"""A small MCP server that keeps notes, on the official SDK: `python -m examples.mcp_notes`."""

import os

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("notes")
notes: list[str] = ["The printer is in room 12."]


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def find(word: str) -> str:
    """Finds the notes that have a word."""
    return "\n".join(note for note in notes if word.lower() in note.lower()) or "There is no such note."


@server.tool()
def add(text: str) -> str:
    """Adds a note."""
    notes.append(text)
    return f"Note {len(notes)} was added."


@server.tool()
def publish() -> str:
    """Publishes the notes. It has a fault that ends the server."""
    os._exit(1)


@server.resource("notes://all")
def everything() -> str:
    """All notes."""
    return "\n".join(notes)


@server.prompt()
def summary(length: str) -> str:
    """Asks for a summary of the notes."""
    return f"Summarize my notes in {length} words."


if __name__ == "__main__":
    server.run("stdio")
