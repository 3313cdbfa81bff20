"""The commands of an operator: their names, their arguments, and their results."""

from pathlib import Path
from typing import Any

import msgspec

from miniagents.control.protocol import Command, CommandError
from miniagents.control.typed import typed
from miniagents.errors import AnswerRefusedError
from miniagents.journal.jobs import JobState
from miniagents.journal.operating.operator import Operator

_TOO_LATE = ("taken", "ended")
"""The reasons of a refused answer that are nobody's mistake."""


class OfAll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of a command that has none."""


class OfJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of a command for one job."""

    job: str


class Showing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `jobs.show`."""

    job: str
    all: bool = False


class InStates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `jobs.list`."""

    states: tuple[JobState, ...] = ()


class ByPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `jobs.cancel`."""

    job: str
    by: str = ""


class FromRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `journal.forget`."""

    job: str
    row: int = 0


class OfJobOrAll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of a command for one job, or for all."""

    job: str | None = None


class Delivering(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `waits.deliver`."""

    job: str
    name_or_id: str
    text: str | None = None
    data: Any = None
    type: str = ""
    by: str = ""


class OfLetters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `letters.list`."""

    receiver: str | None = None
    after: int = 0


class OfLetter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of a command for one dead letter."""

    id: int


class Exporting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `journal.export`: an absolute path, since the process may run in another folder."""

    path: str


def commands_of(operator: Operator) -> dict[str, Command]:
    """Return the commands that an operator carries out, by their names.

    Args:
        operator: The operator.

    Returns:
        Functions of arguments, which raise `CommandError`, to results that JSON can carry.
    """

    async def deliver(a: Delivering) -> Any:
        try:
            return {"id": await operator.deliver(a.job, a.name_or_id, a.text, a.data, a.type, a.by)}
        except AnswerRefusedError as error:
            raise CommandError(str(error), kind="failed" if error.reason in _TOO_LATE else "mistake") from error

    async def forget(a: FromRow) -> Any:
        return {"job": a.job, "forgotten": await operator.forget(a.job, a.row)}

    async def vacuum(_: OfAll) -> Any:
        before, after = await operator.vacuum()
        return {"bytes_before": before, "bytes_after": after}

    async def export(a: Exporting) -> Any:
        await operator.export(Path(a.path))
        return {"path": a.path}

    async def check(_: OfAll) -> Any:
        return {"problems": await operator.check()}

    async def changes(a: OfJobOrAll) -> Any:
        return {"jobs": await operator.changes(a.job)}

    async def jobs(a: InStates) -> Any:
        return {"jobs": await operator.jobs(a.states)}

    async def waits(a: OfJobOrAll) -> Any:
        return {"waits": await operator.waits(a.job)}

    async def letters(a: OfLetters) -> Any:
        return {"letters": await operator.letters(a.receiver, a.after)}

    return {
        "jobs.list": typed(InStates, jobs),
        "jobs.show": typed(Showing, lambda a: operator.job(a.job, with_all_calls=a.all)),
        "jobs.cancel": typed(ByPerson, lambda a: operator.cancel(a.job, a.by)),
        "waits.list": typed(OfJobOrAll, waits),
        "waits.deliver": typed(Delivering, deliver),
        "letters.list": typed(OfLetters, letters),
        "letters.show": typed(OfLetter, lambda a: operator.letter(a.id)),
        "letters.resend": typed(OfLetter, lambda a: operator.resend(a.id)),
        "letters.drop": typed(OfLetter, lambda a: operator.drop(a.id)),
        "journal.stats": typed(OfAll, lambda _: operator.stats()),
        "journal.vacuum": typed(OfAll, vacuum),
        "journal.export": typed(Exporting, export),
        "journal.check": typed(OfAll, check),
        "journal.changes": typed(OfJobOrAll, changes),
        "journal.delete": typed(OfJob, lambda a: operator.delete(a.job)),
        "journal.forget": typed(FromRow, forget),
    }
