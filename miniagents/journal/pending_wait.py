"""`PendingWait`: a wait for an answer from outside, as programs and people see it."""

import re
from datetime import UTC, datetime
from typing import Any, Self

import msgspec

from miniagents.errors import AnswerRefusedError, DecodeError, InvalidOptionError
from miniagents.journal.waits import Delivered, Delivery, Wait, WaitId
from miniagents.messages import decode

_ID = re.compile(r"(?P<name>[^#]+)#(?P<row>[0-9]{1,18})\.(?P<number>[0-9]{1,18})")
_SHOWN = 5


class PendingWait(msgspec.Struct, frozen=True):
    """A call of an agent that waits for an answer from outside.

    Attributes:
        id: Its id within its job, as a text: `name#row.number`. `deliver` takes it.
        job: The name of the job, or "".
        name: The name that the agent has given it.
        agent: The path of the agent.
        prompt: The text for those who answer, or "".
        type: The name of the type that the answer must have, or "" for any.
        since: When it began, in seconds since the epoch.
        due_at: When it expires, in seconds since the epoch, or None.
        owner: The name of the user on whose behalf the agent waits, or "".
        row: The number of the call; see `Interaction.row`.
        number: Tells waits of the same name in one call apart.

    Example:
        >>> @miniagent
        ... async def clerk(ctx):
        ...     ctx.reply(await ctx.wait_for("approval", prompt="Pay 10 EUR?"))
        >>> async with MiniAgents() as mini:
        ...     replies = clerk.inquire()
        ...     while not (waits := await mini.pending()):
        ...         await asyncio.sleep(0)
        ...     print(waits[0].prompt)
        ...     delivered = await mini.deliver("", waits[0].id, "yes", by="ann")
        ...     print(await replies)
        Pay 10 EUR?
        yes
    """

    id: str
    job: str
    name: str
    agent: str
    prompt: str
    type: str
    since: float
    due_at: float | None
    owner: str
    row: int
    number: int

    @classmethod
    def of(cls, wait: Wait) -> Self:
        """Return a wait of a journal in this form."""
        id = wait.id
        return cls(
            id=text_of(id),
            job=id.job,
            name=id.name,
            agent=wait.agent,
            prompt=_prompt_of(wait),
            type=wait.kind,
            since=wait.since,
            due_at=wait.due_at,
            owner=wait.owner,
            row=id.row,
            number=id.number,
        )


def check_name(name: Any) -> None:
    """Check the name of a wait.

    Raises:
        InvalidOptionError: It is no text, is empty, or has a `#` in it, which ids have.
    """
    if not isinstance(name, str) or not name or "#" in name:
        raise InvalidOptionError(f"the name of a wait must be a text without '#', and not empty: not {name!r}")


def check_name_or_id(name_or_id: str) -> None:
    """Check the name or the id of a wait, as `deliver` takes it.

    Raises:
        InvalidOptionError: It is neither.
    """
    if _ID.fullmatch(name_or_id) is None:
        check_name(name_or_id)


def text_of(id: WaitId) -> str:
    """Return the id of a wait within its job, as a text."""
    return f"{id.name}#{id.row}.{id.number}"


def target_of(job: str, name_or_id: str) -> WaitId | str:
    """Return the id that a text is, or else the name that it is.

    Example:
        >>> target_of("job-42", "approval#17.0")
        WaitId(job='job-42', row=17, name='approval', number=0)
        >>> target_of("job-42", "approval")
        'approval'
    """
    id = _ID.fullmatch(name_or_id)
    return WaitId(job, int(id["row"]), id["name"], int(id["number"])) if id is not None else name_or_id


def answered_id(delivered: Delivered, job: str, name_or_id: str, kind: str) -> str | None:
    """Return the id of the wait that has an answer, within its job; None for an answer that is kept for a wait to come.

    Args:
        delivered: What the journal said.
        job: The name of the job.
        name_or_id: What was to be answered.
        kind: The name of the answer's type.

    Raises:
        AnswerRefusedError: The answer was refused.
    """
    if delivered.delivery is Delivery.KEPT:
        return None
    if delivered.delivery is not Delivery.DELIVERED:
        raise refusal(delivered, job, name_or_id, kind)
    return text_of(delivered.waits[0].id)


def refusal(delivered: Delivered, job: str, name_or_id: str, kind: str) -> AnswerRefusedError:
    """Return the error of an answer that was refused.

    Args:
        delivered: What the journal said.
        job: The name of the job.
        name_or_id: What was to be answered.
        kind: The name of the answer's type.
    """
    what = f"{name_or_id!r} of job {job!r}" if job else f"{name_or_id!r}, outside of jobs,"
    waits, by = delivered.waits, ""
    match delivered.delivery:
        case Delivery.TAKEN:
            text = f"{what} has an answer already"
            first = waits[0].answer
            if first is not None:
                by = first.by
                text += f", given by {by!r}" if by else ", given"
                text += f" at {datetime.fromtimestamp(first.at, UTC).isoformat(timespec='seconds')}"
        case Delivery.AMBIGUOUS:
            ids = ", ".join(text_of(wait.id) for wait in waits[:_SHOWN])
            more = f", and {len(waits) - _SHOWN} more" if len(waits) > _SHOWN else ""
            text = f"{what} is ambiguous: {len(waits)} waits have the name; answer one of them by its id: {ids}{more}"
        case Delivery.WRONG_KIND:
            text = f"{what} waits for a message of type {waits[0].kind!r}, and the answer is of type {kind!r}"
        case Delivery.ENDED:
            text = f"{what} waits no more: its job has ended, or the wait has expired or was closed"
        case _:
            text = f"{what} is unknown: there is no such job or wait; `await system.pending()` lists what waits"
    ids_ = tuple(text_of(wait.id) for wait in waits)
    return AnswerRefusedError(text, reason=delivered.delivery.value, job=job, waits=ids_, by=by)


def _prompt_of(wait: Wait) -> str:
    if not wait.prompt:
        return ""
    try:
        return str(decode(wait.prompt))
    except DecodeError as error:
        return f"(the prompt cannot be read: {error})"
