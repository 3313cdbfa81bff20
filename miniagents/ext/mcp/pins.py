"""`Pins`: the tools of a server as they were approved, and what is different now."""

import asyncio
import difflib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mcp_types as types

from miniagents.errors import InvalidOptionError
from miniagents.ext.mcp.texts import clean, shortened
from miniagents.log import log as _log

_FIELDS = ("name", "title", "description", "input_schema", "output_schema", "annotations")
_LONGEST_DIFFERENCE = 4000


class Pins:
    """Keeps the first list of tools that a server has sent, and lets through what is still the same.

    What models are told of a tool can be changed by its server at any time. With pins, a tool that is new, has changed
    or has another name is left out until it is approved.

    Args:
        server: The name of the server.
        place: The program or the address of the server. At another place nothing is approved.
        owner: The caller on whose behalf the connection is, or "".
        file: Where the pins outlive the process, or None.

    Attributes:
        differences: What is different of each tool that is not approved, by its name.
    """

    def __init__(self, server: str, place: str, owner: str, file: Path | None) -> None:
        self._server = server
        self._place = place
        self._owner = owner
        self._file = file
        self._pinned: dict[str, Any] | None = None
        self._seen: dict[str, Any] = {}
        self.differences: dict[str, str] = {}

    async def approved(self, tools: Sequence[types.Tool]) -> list[types.Tool]:
        """Return the tools that are as they were approved. The first list is approved as it is.

        Raises:
            InvalidOptionError: The file of the pins cannot be read.
        """
        if self._pinned is None:
            self._pinned = await asyncio.to_thread(self._read)
        self._seen = {tool.name: _content(tool) for tool in tools}
        if self._pinned is None:
            await self._pin(self._seen)
        pinned = self._pinned or {}
        before, self.differences = self.differences, {}
        for name, content in self._seen.items():
            if content != pinned.get(name):
                self.differences[name] = difference = _difference(name, content, pinned, self._seen)
                if before.get(name) != difference:
                    _log.warning("mcp.unapproved_tool", server=self._server, tool=name, difference=difference)
        return [tool for tool in tools if tool.name not in self.differences]

    async def approve(self, names: Iterable[str]) -> None:
        """Approve tools as they are now.

        Raises:
            InvalidOptionError: There is no such tool.
        """
        names = list(names)
        for name in names:
            if name not in self._seen:
                raise InvalidOptionError(f"the MCP server {self._server!r} has no tool {name!r} to approve")
        await self._pin({**(self._pinned or {}), **{name: self._seen[name] for name in names}})

    async def _pin(self, contents: Mapping[str, Any]) -> None:
        self._pinned = dict(contents)
        if self._file is not None:
            await asyncio.to_thread(self._write, self._file, self._pinned)

    def _read(self) -> dict[str, Any] | None:
        """Return the pins in the file; None if it has none of this server and this owner."""
        pins = self._all()
        of_server = pins.get(self._server)
        if of_server is None:
            return None
        if of_server["place"] != self._place:
            return {}
        pinned: dict[str, Any] | None = of_server["owners"].get(self._owner)
        return pinned

    def _write(self, file: Path, pinned: Mapping[str, Any]) -> None:
        pins = self._all()
        of_server = pins.get(self._server)
        if of_server is None or of_server["place"] != self._place:
            of_server = pins[self._server] = {"place": self._place, "owners": {}}
        of_server["owners"][self._owner] = pinned
        written = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        written.write_text(json.dumps(pins, indent=1, sort_keys=True))
        written.replace(file)

    def _all(self) -> dict[str, Any]:
        if self._file is None or not self._file.exists():
            return {}
        try:
            pins: dict[str, Any] = json.loads(self._file.read_text())
            return pins
        except ValueError as error:
            raise InvalidOptionError(f"{self._file}: holds no pins of MCP servers: {error}") from error


def _content(tool: types.Tool) -> dict[str, Any]:
    """Return what is pinned of a tool, as JSON has it."""
    content: dict[str, Any] = tool.model_dump(mode="json", include=set(_FIELDS), exclude_none=True)
    return content


def _difference(name: str, content: Any, pinned: Mapping[str, Any], seen: Mapping[str, Any]) -> str:
    """Return how a tool differs from what was approved."""
    if name not in pinned:
        for other, approved in pinned.items():
            if other not in seen and {**approved, "name": name} == content:
                return f"it is a new name of {clean(other)!r}"
        return f"it is new: {shortened(json.dumps(content, sort_keys=True), _LONGEST_DIFFERENCE)}"
    lines = difflib.unified_diff(_lines(pinned[name]), _lines(content), "approved", "now", n=0, lineterm="")
    return shortened("\n".join(lines), _LONGEST_DIFFERENCE)


def _lines(content: Any) -> list[str]:
    return json.dumps(content, indent=1, sort_keys=True).splitlines()
