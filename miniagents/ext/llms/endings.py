"""Endings: what the word means with which a provider ends an answer."""

import enum


class Ending(enum.Enum):
    """How an answer ended."""

    CALLS = "calls"
    """As a turn of tool calls."""
    WHOLE = "whole"
    """The model has said all that it wanted to say. Servers that are compatible with OpenAI's end turns of tool calls
    with the same word."""
    TRUNCATED = "truncated"
    """A limit of tokens was reached."""
    REFUSED = "refused"
    """The model, or a filter, did not let it through."""
    FAILED = "failed"
    """The provider failed: it is no answer."""
    OTHER = "other"
    """A stop sequence, or a word that is not known: it is an answer, but its tool calls may be cut."""


_ENDINGS = {
    Ending.CALLS: ("tool_calls", "tool_call", "tool_use", "function_call"),
    Ending.WHOLE: ("stop", "end_turn", "eos", "eos_token", "complete", "completed"),
    Ending.TRUNCATED: (
        "length",
        "max_tokens",
        "max_output_tokens",
        "model_length",
        "model_context_window_exceeded",
        "incomplete",
    ),
    Ending.REFUSED: ("refusal", "content_filter", "content_filtered", "safety"),
    Ending.FAILED: ("error", "failed", "abort", "aborted", "cancelled", "insufficient_system_resource"),
}
_BY_WORD = {word: ending for ending, words in _ENDINGS.items() for word in words}


def ending_of(stop_reason: str | None) -> Ending:
    """What a provider's word means: `stop`, `length`, `tool_use`, ...; None is no ending, and counts as failed."""
    if stop_reason is None:
        return Ending.FAILED
    return _BY_WORD.get(stop_reason.lower(), Ending.OTHER)


def lets_calls_run(stop_reason: str | None) -> bool:
    """Whether the tool calls of an answer that ended so are whole, as far as the provider says."""
    return ending_of(stop_reason) in (Ending.CALLS, Ending.WHOLE)
