"""The answer to "why is it slow": on what the time of one interaction went, along its critical path."""

from collections.abc import AsyncIterator, Iterator

from miniagents.ext.observer.calls import CallRecord, Step
from miniagents.ext.observer.slices import Slices

CAUSES = ("mailbox", "limit", "first_token", "streaming", "tools", "answer", "own")
"""The causes: waiting in a mailbox, between two attempts or for a rate limit, for the first token of a model, for the
rest of its tokens, for tools, for an answer from outside, and the code of agents."""

_EVERY = 64

Piece = tuple[str, float, float, CallRecord]
"""A cause, the times from and to, and the call that it belongs to."""


async def causes_of(record: CallRecord, now: float) -> tuple[dict[str, float], dict[str, float]]:
    """Return the seconds that each cause took, along the critical path: at each moment, the work that the end of the
    call has waited for. They add up to the time of the call.

    Args:
        record: The call.
        now: The time, on `loop.time()`, for what is still under way.

    Returns:
        The seconds by cause, and the seconds by the name of the agent.
    """
    causes, agents = dict.fromkeys(CAUSES, 0.0), dict[str, float]()
    async for cause, begun, ended, part in critical_path(record, now):
        causes[cause] += ended - begun
        agents[part.alias] = agents.get(part.alias, 0.0) + ended - begun
    return causes, agents


async def critical_path(record: CallRecord, now: float) -> AsyncIterator[Piece]:
    """Return the pieces of the critical path, the last one first.

    The walk goes back from the end of a call: the work that ended last before the moment is what was waited for.

    Args:
        record: The call.
        now: The time, on `loop.time()`.
    """
    slices, steps = Slices(), 0
    todo: list[tuple[CallRecord, float, float]] = [(record, record.started, _end(record.end, now))]
    while todo:
        call, begun, until = todo.pop()
        works: list[CallRecord | Step] = [*(call.below or ()), *(call.steps or ())]
        ends: list[tuple[float, int]] = []
        for number, work in enumerate(works):
            ends.append((_end(work.end, now), number))
            if not number % _EVERY and slices.is_over:
                await slices.next()
        ends.sort()
        while ends and until > begun:
            ended, number = ends.pop()
            work = works[number]
            work_begun = max(work.started if isinstance(work, CallRecord) else work.begun, begun)
            work_ended = min(ended, until)
            steps += 1
            if not steps % _EVERY and slices.is_over:
                await slices.next()
            if work_ended <= work_begun:
                continue
            for piece in _own(call, work_ended, until, call.steps):
                yield piece
            if isinstance(work, CallRecord):
                todo.append((work, work_begun, work_ended))
            else:
                for piece in _pieces(work, work_begun, work_ended, call):
                    yield piece
            until = work_begun
        if until > begun:
            first = call.uses.begun
            in_hand = until if first is None and call.until is None else min(max(first or begun, begun), until)
            for piece in _own(call, in_hand, until, call.steps):
                yield piece
            if in_hand > begun:
                yield "mailbox", begun, in_hand, call


def _own(call: CallRecord, begun: float, ended: float, steps: list[Step] | None) -> Iterator[Piece]:
    """The time between the works of a call: its own code; in an agent of a model, what comes before a request is the
    wait for the rate limit, or the pause before another attempt."""
    if ended <= begun:
        return
    waits = any(step.kind == "model" and abs(step.begun - ended) < 1e-9 for step in steps or ())
    yield "limit" if waits else "own", begun, ended, call


def _pieces(step: Step, begun: float, ended: float, call: CallRecord) -> Iterator[Piece]:
    if step.kind != "model":
        yield "tools" if step.kind == "tool" else "answer", begun, ended, call
        return
    first = min(max(step.first if step.first is not None else ended, begun), ended)
    if ended > first:
        yield "streaming", first, ended, call
    if first > begun:
        yield "first_token", begun, first, call


def _end(ended: float | None, now: float) -> float:
    return now if ended is None else ended
