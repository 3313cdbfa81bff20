"""`Ending`: the meanings of the stop reasons of all providers."""

import enum


class Ending(enum.Enum):
    """The way in which an answer ended."""

    CALLS = "calls"
    """The model calls tools."""
    WHOLE = "whole"
    """The answer is whole. Some servers that are compatible with OpenAI's API also end answers with tool calls so."""
    TRUNCATED = "truncated"
    """A limit of tokens was reached."""
    REFUSED = "refused"
    """The model refused to answer, or a filter removed the answer."""
    FAILED = "failed"
    """The provider failed: there is no answer."""
    OTHER = "other"
    """A stop sequence, or an unknown reason: there is an answer, but its tool calls may be incomplete."""


PAUSED = "pause_turn"
"""The stop reason of an answer that the provider goes on with, if it gets it back: its own tools took long."""

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
    """Return the meaning of a stop reason (`stop`, `length`, `tool_use`, ...); None counts as failed."""
    if stop_reason is None:
        return Ending.FAILED
    return _BY_WORD.get(stop_reason.lower(), Ending.OTHER)


def lets_calls_run(stop_reason: str | None) -> bool:
    """Return whether the tool calls of an answer with this stop reason are complete."""
    return ending_of(stop_reason) in (Ending.CALLS, Ending.WHOLE)
