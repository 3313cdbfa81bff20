"""`Compaction`: keeps the conversation of one call below the window of its model, as a `Compact` says."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from miniagents.agents import Interaction, MiniAgent
from miniagents.errors import InvalidOptionError, OutputError
from miniagents.ext.llms import requesting
from miniagents.ext.llms.attempting import NoTokens, Terms
from miniagents.ext.llms.budgets import Budget
from miniagents.ext.llms.compact import Compact
from miniagents.ext.llms.conversation import Conversation
from miniagents.ext.llms.endings import Ending, ending_of
from miniagents.ext.llms.estimating import LETTERS_PER_TOKEN, estimate, estimate_text, given_most_output
from miniagents.ext.llms.lending import purse_of
from miniagents.ext.llms.llm_agent import LLMAgent
from miniagents.ext.llms.messages import ReplyMessage, Usage
from miniagents.ext.llms.provider import Compacts, CountsTokens, ModelRequest, Provider
from miniagents.ext.llms.summaries import INSTRUCTIONS, SummaryMessage, originals, prompt, split, summary_of
from miniagents.ext.llms.windows import window_of
from miniagents.log import log as _log
from miniagents.messages import Message, SystemMessage

_COUNT_FROM = 0.25
"""The estimated share of the limit from which on the provider is asked: below it, no estimate is that wrong."""
_COUNT_SECONDS = 10.0
_LITTLE = 0.1
"""The share of the limit that a summary must free; less is too little."""
_MOST_POOR = 2
_READABLE = 0.5
"""The share of the window that the text for a summary may fill."""
_NOT_FOR_SUMMARIES = frozenset(
    {
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format", "text"),
        *("output_config", "context_management", "stop", "stop_sequences", "prediction", "previous_response_id"),
    }
)
"""Parameters of the API that are about the agent's own answers."""


class Compaction:
    """The compaction of one call of an LLM agent.

    Args:
        compact: The settings.
        window: The context window of the model, in tokens.
        provider: The API of the model.
        terms: Limits and budgets of the agent, for summaries by its own model.
        interaction: The call.
        conversation: Its conversation, which becomes shorter.
    """

    def __init__(
        self,
        compact: Compact,
        window: int,
        provider: Provider,
        terms: Terms,
        interaction: Interaction,
        conversation: Conversation,
    ) -> None:
        self._compact = compact
        self._window = window
        self._provider = provider
        self._terms = terms
        self._interaction = interaction
        self._conversation = conversation
        self._poor = 0
        self._has_overflowed = False

    async def shortened(self, request: ModelRequest) -> bool:
        """Shorten the conversation, if the request would be too long.

        Returns:
            Whether the conversation is another one now.
        """
        limit = self._limit(request)
        tokens = await self._count(request, limit)
        if tokens <= limit:
            return False
        known = self._use_known(tokens)
        if known is not None and known <= limit:
            return True
        if self._poor >= _MOST_POOR:
            return known is not None
        before = tokens if known is None else known
        freed = await self._replace_older(request, before, self._compact.keep_last)
        self._poor = 0 if freed >= _LITTLE * limit else self._poor + 1
        if self._poor == _MOST_POOR:
            _log.warning("llm.compact_given_up", **self._interaction.log_fields, tokens=before - freed, limit=limit)
        return freed > 0 or known is not None

    async def shortened_after_overflow(self, request: ModelRequest) -> bool:
        """Shorten the conversation as far as it goes, since the provider has refused it; only once in a call.

        Returns:
            Whether the conversation is shorter now.
        """
        if self._has_overflowed:
            return False
        self._has_overflowed = True
        return await self._replace_older(request, self._estimated(request), 1) > 0

    def learn(self, request: ModelRequest, usage: Usage) -> None:
        """Correct the estimates by the usage of a request that was answered."""
        if usage.input_tokens and not usage.estimated:
            self._compact.learn(request.model, _plain_estimate(request), usage.input_tokens)

    def _limit(self, request: ModelRequest) -> int:
        limit, most = int(self._compact.at * self._window), given_most_output(request)
        # Providers refuse a request whose input and `max_tokens` exceed the window together.
        return min(limit, self._window - most) if most is not None and most < self._window else limit

    def _estimated(self, request: ModelRequest) -> int:
        return self._compact.corrected(request.model, _plain_estimate(request))

    async def _count(self, request: ModelRequest, limit: int) -> int:
        """Return the input tokens of a request: the provider's number, or an estimate."""
        estimated = self._estimated(request)
        provider = self._provider
        if estimated < _COUNT_FROM * limit or not isinstance(provider, CountsTokens):
            return estimated
        try:
            async with asyncio.timeout(_COUNT_SECONDS):
                counted = await provider.count_tokens(request)
        except Exception as error:
            _log.info(
                "llm.tokens_not_counted", **self._interaction.log_fields, error=f"{type(error).__name__}: {error}"
            )
            return estimated
        return estimated if counted is None else counted

    def _use_known(self, tokens: int) -> int | None:
        """Put a known summary in the place of what it stands for; return the tokens then, or None if none is known."""
        systems, others = self._parts()
        whole = originals(others)
        summary = self._compact.known(whole[:-1])
        if summary is None or others[0] is summary:
            return None
        rest = whole[len(summary.original_messages) :]
        return tokens - self._put(systems, others, (summary, *rest))

    def _parts(self) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        messages = self._conversation.messages
        systems = tuple(message for message in messages if _is_system(message))
        return systems, tuple(message for message in messages if not _is_system(message))

    def _put(self, systems: tuple[Message, ...], before: Sequence[Message], after: tuple[Message, ...]) -> int:
        """Put other messages into the conversation, and return the tokens that this frees."""
        self._conversation.messages = (*systems, *after)
        return estimate(before) - estimate(after)

    async def _replace_older(self, request: ModelRequest, tokens: int, keep_last: int) -> int:
        """Replace the older messages by a summary; return the tokens that this frees, 0 if it did not work."""
        systems, others = self._parts()
        older, newer = split(others, keep_last)
        if not older or (len(older) == 1 and isinstance(older[0], SummaryMessage)):
            _log.warning("llm.compact_failed", **self._interaction.log_fields, error="no message may be summarized")
            return 0
        try:
            summary = summary_of(older, await self._summarize(older, request))
        except Exception as error:
            _log.warning("llm.compact_failed", **self._interaction.log_fields, error=f"{type(error).__name__}: {error}")
            return 0
        if estimate([summary]) >= estimate(older):
            _log.warning("llm.compact_failed", **self._interaction.log_fields, error="the summary is not shorter")
            return 0
        self._compact.remember(summary)
        freed = self._put(systems, others, (summary, *newer))
        _log.info(
            "llm.compacted",
            **self._interaction.log_fields,
            tokens=tokens,
            freed=freed,
            messages=len(older),
            kept=len(newer),
        )
        return freed

    async def _summarize(self, older: Sequence[Message], request: ModelRequest) -> str:
        """Let the agent or the model write a summary.

        Raises:
            LLMError: There is no summary.
            TimeoutError: It took too long.
        """
        compact = self._compact
        letters = int(_READABLE * self._window * LETTERS_PER_TOKEN)
        messages = prompt(older, compact.instructions, letters)
        reply: Message
        if isinstance(compact.by, MiniAgent):
            replies = compact.by.inquire(messages, timeout=compact.timeout, **_limits(compact.by, compact.budget))
            reply = (await replies)[-1]
        else:
            async with asyncio.timeout(compact.timeout):
                reply = await self._asked(messages, request)
        text = str(reply)
        whole = not isinstance(reply, ReplyMessage) or (
            reply.refusal is None and ending_of(reply.stop_reason) in (Ending.WHOLE, Ending.CALLS)
        )
        if not whole or not text.strip():
            raise OutputError(f"no summary: it was refused, cut off or empty: {text[:100]!r}", text=text)
        return text

    async def _asked(self, messages: tuple[Message, ...], request: ModelRequest) -> ReplyMessage:
        options = {name: value for name, value in request.options.items() if name not in _NOT_FOR_SUMMARIES}
        asked = ModelRequest(request.model, messages, stream=request.stream, options=options)
        terms = self._terms
        if self._compact.budget is not None:
            terms = replace(terms, budgets=(*terms.budgets, purse_of(self._compact.budget, self._interaction)))
        answer = await requesting.ask(self._provider, asked, NoTokens(), terms, self._interaction)
        return answer.message()


async def compacted_by(
    provider: Provider, compact: Compact, model: str, options: Mapping[str, Any], path: str
) -> dict[str, Any]:
    """Return the parameters of an API call with which the provider itself compacts.

    Raises:
        InvalidOptionError: The API does not compact, or the window of the model is not known.
    """
    if not isinstance(provider, Compacts):
        raise InvalidOptionError(f"{path}: {provider.name} does not compact: give Compact(by=) an agent, or None")
    tokens = int(compact.at * await window_for(compact, model, path))
    return provider.compacting(options, tokens, compact.instructions if compact.instructions != INSTRUCTIONS else None)


async def compaction_of(
    compact: Compact,
    model: str,
    provider: Provider,
    terms: Terms,
    interaction: Interaction,
    conversation: Conversation,
) -> Compaction | None:
    """Return the compaction of a call; None where the provider compacts.

    Raises:
        InvalidOptionError: The window of the model is not known.
    """
    if compact.by == "provider":
        return None
    window = await window_for(compact, model, interaction.path)
    return Compaction(compact, window, provider, terms, interaction, conversation)


async def window_for(compact: Compact, model: str, path: str) -> int:
    """Return the context window in tokens.

    Raises:
        InvalidOptionError: It is not known.
    """
    window = compact.window or await window_of(model)
    if window is None:
        raise InvalidOptionError(
            f"{path}: the context window of {model!r} is not known: give Compact(window=) in tokens, or install "
            f"genai-prices, which knows the windows of many models"
        )
    return window


def _limits(agent: MiniAgent, budget: Budget | None) -> dict[str, Any]:
    """Return the options with which an agent writes a summary: no tools, no other form than text, and the budgets."""
    if not isinstance(agent, LLMAgent):
        return {}
    options: dict[str, Any] = {"tools": None, "output": None, "compact": None}
    if budget is not None:
        own = agent.live_arguments.get("budget")
        known = () if own is None else (own,) if isinstance(own, Budget) else tuple(own)
        options["budget"] = [*known, budget]
    return options


def _plain_estimate(request: ModelRequest) -> int:
    letters = sum(len(tool.name) + len(tool.description) + _letters(tool.schema) for tool in request.tools)
    if request.output is not None:
        letters += _letters(request.output.schema)
    return estimate(request.messages) + estimate_text(letters)


def _letters(schema: object) -> int:
    return len(msgspec.json.encode(schema))


def _is_system(message: Message) -> bool:
    return isinstance(message, SystemMessage) or getattr(message, "role", None) in ("system", "developer")
