"""`JournalMail`: the durable mailboxes of one system."""

from functools import partial
from typing import TYPE_CHECKING, Any

from miniagents.actors.cells.durable_cell import DurableActorCell
from miniagents.actors.durable.group_commit import GroupCommit
from miniagents.actors.durable.inbox import JournalInbox
from miniagents.actors.durable.letters import JournalLetters, TakesResent
from miniagents.actors.messaging.options import Props
from miniagents.journal.journal import Journal

if TYPE_CHECKING:
    from miniagents.actors.cells.cell_ports import System


class JournalMail:
    """The durable mailboxes of one system, by the paths of their actors.

    Args:
        journal: The journal, which is open.

    Attributes:
        letters: The dead letters in the journal.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._group = GroupCommit(journal)
        self._inboxes: dict[str, TakesResent] = {}
        self.letters = JournalLetters(journal, self._inboxes)

    def new_cell(self, system: "System", parent: Any, name: str, props: Props) -> DurableActorCell:
        """Make the cell of a durable actor."""
        factory: Any = props.factory
        kind: Any = factory.func if isinstance(factory, partial) else factory
        return DurableActorCell(system, parent, name, props, partial(self.inbox_of, kind=kind))

    def inbox_of(self, cell: Any, kind: type) -> JournalInbox:
        """Make the inbox of a durable cell that has just been made.

        Args:
            cell: The cell.
            kind: The class that the cell makes instances of.

        Raises:
            InvalidOptionError: The class has methods that can keep no state.
        """
        inbox = self._inboxes[cell.path] = JournalInbox(cell, kind, self._journal, self._group, self._closed)
        return inbox

    def lives_elsewhere(self, path: str, home: TakesResent) -> None:
        """Note that the durable actor of a path lives on another node: its home gets the dead letters that are sent
        again."""
        self._inboxes[path] = home

    def forget(self, path: str, inbox: TakesResent) -> None:
        """Forget a mailbox, or a home, whose actor has ended."""
        if self._inboxes.get(path) is inbox:
            del self._inboxes[path]

    def _closed(self, inbox: JournalInbox) -> None:
        self.forget(inbox.path, inbox)
