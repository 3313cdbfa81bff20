"""Requests to models in a journal: each request is answered once, and is a record of the call that sends it.

The key of a record is a hash of the whole request. Equal requests of one call (another try after a refusal, the best of
several) have numbers, so that each has an answer of its own.
"""

from collections.abc import Awaitable, Callable
from itertools import accumulate, pairwise

import msgspec

from miniagents.agents.records import Recorded, Records
from miniagents.ext.llms.attempting import Sink, push_again
from miniagents.ext.llms.cache import cache_key
from miniagents.ext.llms.messages import ReplyMessage
from miniagents.ext.llms.provider import Answer, ModelRequest

KIND = "model"
"""The kind of the records."""


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """What an answer has besides its message.

    Attributes:
        ends: Where the pieces of the text end, in characters.
        embeddings: The vectors.
        silent_tokens: The number of tokens that are not text.
    """

    ends: tuple[int, ...]
    embeddings: tuple[tuple[float, ...], ...] = ()
    silent_tokens: int = 0


async def recorded(
    records: Records, provider_key: str, request: ModelRequest, sink: Sink, send: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Answer a request from the records of a call, or send it and record the answer.

    A recorded answer is silent: it takes nothing from a rate limit or a budget, and is no request in logs and metrics.

    Args:
        records: The records of the call.
        provider_key: `Provider.key`.
        request: The request.
        sink: Receives the tokens.
        send: Sends the request.

    Raises:
        LLMError: There is no answer. That is not recorded: the request is sent again when the call runs again.
        JournalError: The journal cannot be read.
    """
    key = bytes.fromhex(cache_key(provider_key, request))
    record = await records.recorded(KIND, key)
    answer = _restored(record) if record is not None else None
    if answer is not None:
        push_again(answer, sink)
        return answer
    answer = await send()
    stored = _Stored(tuple(accumulate(map(len, answer.tokens))), answer.embeddings, answer.silent_tokens)
    records.record_soon(KIND, key, msgspec.msgpack.encode(stored), answer.message())
    return answer


def _restored(record: Recorded) -> Answer | None:
    """Return the answer of a record; None if it has none."""
    if record.value is None or not isinstance(record.message, ReplyMessage):
        return None
    stored = msgspec.msgpack.decode(record.value, type=_Stored)
    text = record.message.content
    answer = Answer.from_reply([text[start:end] for start, end in pairwise((0, *stored.ends))], record.message)
    answer.embeddings = stored.embeddings
    answer.silent_tokens = stored.silent_tokens
    return answer
