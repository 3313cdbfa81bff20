"""`LongResults`: results that are too long for a model, which reads on in them by a handle."""

import itertools
from collections import OrderedDict

from miniagents.ext.llms import ToolResultMessage
from miniagents.ext.llms.estimating import LETTERS_PER_TOKEN
from miniagents.ext.mcp.texts import clean

_KEPT = 32
"""The most results that are kept; the oldest one goes first."""
_KEPT_LETTERS = 64 * 2**20
"""The most letters that are kept in all."""


class LongResults:
    """Shortens results, and keeps the whole text of the last 32 that were too long.

    Args:
        tool: The name of the tool by which a model reads on.
        max_tokens: The most tokens that a model gets at once, 1 or more, at four letters each.

    Example:
        >>> results = LongResults("read_more", max_tokens=5)
        >>> print(results.shortened(ToolResultMessage("a" * 10 + "b" * 500 + "c" * 10)).content)
        aaaaaaaaaa
        [500 characters are left out here. Read on with read_more(handle="1", start=10).]
        cccccccccc
        >>> print(results.read("1", start=510))
        cccccccccc
        [This is the end of the result.]
    """

    def __init__(self, tool: str, max_tokens: int) -> None:
        self._tool = tool
        self._most = max_tokens * LETTERS_PER_TOKEN
        self._handles = itertools.count(1)
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._letters = 0

    def shortened(self, result: ToolResultMessage) -> ToolResultMessage:
        """Return a result of bounded length: its head and its tail, if the whole is too long.

        The text of a result that is more than text is not shortened: its parts have their own sizes.
        """
        text = result.content
        if len(text) <= self._most or result.parts:
            return result
        handle = str(next(self._handles))
        self._keep(handle, text)
        half = self._most // 2
        left_out = len(text) - 2 * half
        note = f'[{left_out} characters are left out here. Read on with {self._tool}(handle="{handle}", start={half}).]'
        short = f"{text[:half]}\n{note}\n{text[len(text) - half :]}"
        return ToolResultMessage(short, name=result.name, is_error=result.is_error)

    def read(self, handle: str, start: int) -> str:
        """Return the next part of a long result.

        Args:
            handle: The handle in the result.
            start: The number of characters before the part, 0 or more.

        Raises:
            LookupError: There is no such result, or none any more.
        """
        text = self._texts.get(handle)
        if text is None:
            raise LookupError(f"there is no result {clean(handle)!r} any more: make its call again")
        end = start + self._most
        part = text[max(start, 0) : end]
        if end >= len(text):
            return f"{part}\n[This is the end of the result.]"
        return f'{part}\n[Read on with {self._tool}(handle="{handle}", start={end}).]'

    def _keep(self, handle: str, text: str) -> None:
        self._texts[handle] = text
        self._letters += len(text)
        while len(self._texts) > 1 and (len(self._texts) > _KEPT or self._letters > _KEPT_LETTERS):
            _, oldest = self._texts.popitem(last=False)
            self._letters -= len(oldest)
