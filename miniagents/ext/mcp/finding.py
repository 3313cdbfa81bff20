"""`ToolFinder`: the tools of a server that has too many of them to show them all."""

import re
from collections.abc import Iterable
from functools import partial

import msgspec

from miniagents.ext.llms import Tool, ToolCall
from miniagents.ext.llms.estimating import estimate_text

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_]+")
_SHOWN = 8
_NAME_WEIGHT = 3


class ToolFinder:
    """Finds tools by words of their names, descriptions and parameters.

    Args:
        tools: The tools.

    Example:
        >>> async def read_mail(folder: str) -> str:
        ...     '''Reads the mail in a folder.'''
        >>> async def send_mail(to: str) -> str:
        ...     '''Sends a mail to somebody.'''
        >>> [tool.spec.name for tool in ToolFinder([Tool(read_mail), Tool(send_mail)]).found("send a letter")]
        ['send_mail']
    """

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self._index: dict[str, dict[str, int]] = {}
        for tool in tools:
            self.add(tool)

    def add(self, tool: Tool) -> None:
        """Add a tool."""
        name = tool.spec.name
        self._tools[name] = tool
        for word, weight in _weights(tool).items():
            self._index.setdefault(word, {})[name] = weight

    def found(self, query: str) -> list[Tool]:
        """Return the tools that fit best, at most 8, the best one first."""
        scores: dict[str, int] = {}
        for wanted in _words(query):
            best: dict[str, int] = {}
            for word in filter(partial(_is_like, wanted), self._index):
                for name, weight in self._index[word].items():
                    best[name] = max(best.get(name, 0), weight)
            for name, weight in best.items():
                scores[name] = scores.get(name, 0) + weight
        ranked = sorted(scores, key=lambda name: (-scores[name], name))
        return [self._tools[name] for name in ranked[:_SHOWN]]

    def described(self, query: str) -> str:
        """Return the tools that fit best as text for a model, one on each line."""
        found = self.found(query)
        if not found:
            return f"No tool fits. There are {len(self._tools)}: try other words."
        return "\n".join(
            msgspec.json.encode(
                {"name": tool.spec.name, "description": tool.spec.description, "arguments": tool.spec.schema}
            ).decode()
            for tool in found
        )

    def __getitem__(self, name: str) -> Tool:
        """Return the tool of a name.

        Raises:
            LookupError: There is no such tool.
        """
        if name not in self._tools:
            raise LookupError(f"there is no tool {name!r}: look for one first")
        return self._tools[name]


class _Called(msgspec.Struct, frozen=True):
    name: str
    arguments: dict[str, msgspec.Raw] = {}


def called_tool(call: ToolCall) -> ToolCall:
    """Return the call of a found tool that a call of `call_tool` stands for; the call itself, if it names no tool.

    Example:
        >>> call = ToolCall(id="1", name="mail_call_tool", arguments='{"name": "send", "arguments": {"to": 1}}')
        >>> print(called_tool(call))
        send({"to":1})
    """
    try:
        called = msgspec.json.decode(call.arguments, type=_Called)
    except msgspec.DecodeError:
        return call
    return ToolCall(id=call.id, name=called.name, arguments=msgspec.json.encode(called.arguments).decode())


def tokens_of(tool: Tool) -> int:
    """Estimate the tokens that the definition of a tool takes in each request."""
    spec = tool.spec
    return estimate_text(len(spec.name) + len(spec.description) + len(msgspec.json.encode(spec.schema)))


def _weights(tool: Tool) -> dict[str, int]:
    spec = tool.spec
    weights = dict.fromkeys(_words(f"{spec.description} {' '.join(spec.schema.get('properties', ()))}"), 1)
    return weights | dict.fromkeys(_words(spec.name), _NAME_WEIGHT)


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.lower() for word in _WORD.findall(text) if len(word) > 1))


def _is_like(word: str, wanted: str) -> bool:
    """Return whether one word is the other, or its plural, or another form with the same beginning."""
    return word == wanted or (min(len(word), len(wanted)) >= 4 and (word.startswith(wanted) or wanted.startswith(word)))
