"""`SystemOperator`: what an operator asks of a system that runs with a journal."""

from typing import Any, Protocol

from miniagents.journal.operating.operator import Operator
from miniagents.journal.sqlite import SqliteJournal


class LiveSystem(Protocol):
    """A running system, as an operator sees it."""

    @property
    def name(self) -> str:
        """The name of the system."""


class SystemOperator(Operator):
    """Asks the system that has the journal, so that what waits there goes on at once.

    Args:
        journal: The journal of the system.
        system: The system.
    """

    def __init__(self, journal: SqliteJournal, system: LiveSystem) -> None:
        super().__init__(journal)
        self._system: Any = system
