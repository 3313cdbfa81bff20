"""`Compact`: how an agent keeps a conversation below the context window of its model."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from miniagents.agents import MiniAgent
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.budgets import Budget
from miniagents.ext.llms.summaries import INSTRUCTIONS, SummaryMessage
from miniagents.messages import Message

_MOST_SUMMARIES = 256
_RATIOS = (0.25, 8.0)
"""The smallest and the largest factor by which real usage corrects an estimate."""


class Compact:
    """How a conversation that outgrows the context window of its model becomes shorter.

    Before a request that would be too long, the older messages are replaced by a summary, a `SummaryMessage`, which
    keeps them as `original_messages`. The caller's own conversation stays as it is. When it comes again with the next
    call, its summary is known. System prompts, and the newest messages, stay word for word, and no tool call is
    separated from its results. A summary that fails, or frees nothing, changes nothing.

    Tokens are counted by the provider, where it has an API for that (Anthropic, OpenAI's Responses API), and otherwise
    estimated, and corrected by the usage of earlier requests. Tools and system prompts count.

    A `ContextOverflowError` of the provider is answered once in a call, by a summary of all but the last message and
    what belongs to it. After two summaries in a row that free too little, the call makes no more of them.

    Args:
        at: The part of the window at which a conversation becomes shorter, more than 0 and at most 1.
        keep_last: The number of messages that stay word for word, 1 or more.
        by: The agent that writes the summaries; it gets no tools. None for the model of the agent itself; "provider"
            for compaction by the provider (Anthropic, OpenAI's Responses API), without summaries of ours.
        window: The context window in tokens; None for that of `genai-prices`.
        timeout: Seconds that a summary may take, more than 0.
        budget: The budget that pays for the summaries, beside those of the agent; None for these alone.
        instructions: The system prompt for the summary.

    Raises:
        InvalidOptionError: An option is outside its range.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.llms import Compact, OpenAIAgent

        writer = OpenAIAgent.fork(model="gpt-5-nano")
        compact = Compact(at=0.8, keep_last=6, by=writer)

        async def main() -> None:
            agent = OpenAIAgent.fork(model="gpt-5-mini", compact=compact)
            print(await agent.inquire("Hi"))
            for summary in compact.summaries:
                print(summary, len(summary.original_messages))

        MiniAgents().run(main())
        ```
    """

    __miniagents_immutable__ = True  # forks of an agent share it

    def __init__(
        self,
        *,
        at: float = 0.8,
        keep_last: int = 6,
        by: MiniAgent | Literal["provider"] | None = None,
        window: int | None = None,
        timeout: float = 60.0,
        budget: Budget | None = None,
        instructions: str = INSTRUCTIONS,
    ) -> None:
        if not 0 < at <= 1:
            raise InvalidOptionError(f"Compact(at=) must be more than 0 and at most 1, not {at!r}")
        if keep_last < 1:
            raise InvalidOptionError(f"Compact(keep_last=) must be 1 or more, not {keep_last!r}")
        if not (by is None or by == "provider" or isinstance(by, MiniAgent)):
            raise InvalidOptionError(f'Compact(by=) is an agent, "provider" or None, not {by!r}')
        if window is not None and window < 1:
            raise InvalidOptionError(f"Compact(window=) must be 1 token or more, not {window!r}")
        if not timeout > 0:
            raise InvalidOptionError(f"Compact(timeout=) must be more than 0 seconds, not {timeout!r}")
        self.at = at
        self.keep_last = keep_last
        self.by = by
        self.window = window
        self.timeout = timeout
        self.budget = budget
        self.instructions = instructions
        self._lock = threading.Lock()
        self._summaries: OrderedDict[bytes, SummaryMessage] = OrderedDict()
        self._ratios: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"Compact(at={self.at!r}, keep_last={self.keep_last!r}, by={self.by!r})"

    @property
    def summaries(self) -> tuple[SummaryMessage, ...]:
        """The newest summaries, up to 256; the one that was made or used last is the last."""
        with self._lock:
            return tuple(self._summaries.values())

    def remember(self, summary: SummaryMessage) -> None:
        """Keep a summary for conversations that begin with the same messages."""
        *_, key = _prefix_keys(summary.original_messages)
        with self._lock:
            self._summaries[key] = summary
            self._summaries.move_to_end(key)
            if len(self._summaries) > _MOST_SUMMARIES:
                self._summaries.popitem(last=False)

    def known(self, messages: Sequence[Message]) -> SummaryMessage | None:
        """Return the summary of the longest known beginning of a conversation; None if there is none."""
        with self._lock:
            if not self._summaries:
                return None
            found = [key for key in _prefix_keys(messages) if key in self._summaries]
            if not found:
                return None
            self._summaries.move_to_end(found[-1])
            return self._summaries[found[-1]]

    def corrected(self, model: str, estimated: int) -> int:
        """Return an estimate of tokens, corrected by what the last request to the model has really used."""
        return round(estimated * self._ratios.get(model, 1.0))

    def learn(self, model: str, estimated: int, used: int) -> None:
        """Note the tokens that a request has really used beside their estimate."""
        lowest, highest = _RATIOS
        self._ratios[model] = min(max(used / max(estimated, 1), lowest), highest)


def _prefix_keys(messages: Sequence[Message]) -> list[bytes]:
    """Return the key of each beginning of a conversation, the shortest one first."""
    digest = hashlib.sha256()
    keys = []
    for message in messages:
        digest.update(message.content_key.encode())
        keys.append(digest.digest())
    return keys
