"""The answer to "why is it slow": on what the time of one interaction went, along its critical path."""

from collections.abc import Iterator

from miniagents.ext.observer.calls import CallRecord, Step
from miniagents.ext.observer.slices import Slices

CAUSES = ("mailbox", "limit", "first_token", "streaming", "tools", "own")
"""The causes: waiting in a mailbox, between two attempts or for a rate limit, for the first token of a model, for the
rest of its tokens, for tools, and the code of agents."""

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
    slices = Slices()
    for number, (cause, begun, ended, part) in enumerate(critical_path(record, now)):
        causes[cause] += ended - begun
        agents[part.alias] = agents.get(part.alias, 0.0) + ended - begun
        if not number % _EVERY and slices.is_over:
            await slices.next()
    return causes, agents


def critical_path(record: CallRecord, now: float) -> Iterator[Piece]:
    """Return the pieces of the critical path, the last one first.

    The walk goes back from the end of a call: the work that ended last before the moment is what was waited for.

    Args:
        record: The call.
        now: The time, on `loop.time()`.
    """
    todo: list[tuple[CallRecord, float, float]] = [(record, record.started, _end(record.until, now))]
    while todo:
        call, begun, until = todo.pop()
        works: list[CallRecord | Step] = [*(call.below or ()), *(call.steps or ())]
        works.sort(key=lambda work: _end(work.until, now))
        while works and until > begun:
            work = works.pop()
            work_begun = max(work.started if isinstance(work, CallRecord) else work.begun, begun)
            work_ended = min(_end(work.until, now), until)
            if work_ended <= work_begun:
                continue
            if work_ended < until:
                yield from _own(call, work_ended, until, call.steps)
            if isinstance(work, CallRecord):
                todo.append((work, work_begun, work_ended))
            else:
                yield from _pieces(work, work_begun, work_ended, call)
            until = work_begun
        if until > begun:
            in_hand = min(max(call.begun if call.begun is not None else begun, begun), until)
            yield from _own(call, in_hand, until, call.steps)
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
    if step.kind == "tool":
        yield "tools", begun, ended, call
        return
    first = min(max(step.first if step.first is not None else ended, begun), ended)
    if ended > first:
        yield "streaming", first, ended, call
    if first > begun:
        yield "first_token", begun, first, call


def _end(ended: float | None, now: float) -> float:
    return now if ended is None else ended
