"""Groups of operations: those that come in great numbers are carried out kind by kind."""

from typing import Any

from miniagents.journal import mail, rows, states

GROUPED: tuple[type, ...] = (
    mail.Handle,
    mail.Accept,
    rows.StartRow,
    rows.NoteInputs,
    rows.KeepMessage,
    rows.Record,
    rows.FinishRow,
    states.Save,
)
"""The kinds that are grouped, in the order in which the groups of a run are carried out."""

NO_RESULT = -1
"""The write of an operation whose result nobody gets, since it is not the first one of its write."""

_KINDS = frozenset(GROUPED)


class Run:
    """Neighbours among the operations of a transaction that can be carried out kind by kind.

    No row depends on their order, save that an envelope is accepted before it is handled, and a row is started before
    other operations name it. One result does: where one
    caller sends a message id again while another one handles it, the answer is that it was handled. Within one write
    the order holds.
    """

    def __init__(self) -> None:
        self.groups: dict[type, list[tuple[int, Any]]] = {kind: [] for kind in GROUPED}
        """The operations by kind, each with the number of the write that gets its result, or `NO_RESULT`."""
        self._accepted: set[int] = set()
        self._has_id = False

    def begin_write(self) -> None:
        """Say that the operations of another write follow."""
        self._has_id = False

    def takes(self, operation: Any) -> bool:
        """Return whether an operation can be carried out with those that are here."""
        if type(operation) is mail.Handle:
            return not self._has_id and operation.number not in self._accepted
        return type(operation) in _KINDS

    def add(self, write: int, operation: Any) -> None:
        """Add an operation of one of the kinds.

        Args:
            write: The number of the write that gets the result, or `NO_RESULT`.
            operation: The operation.
        """
        if type(operation) is mail.Accept:
            self._accepted.add(operation.number)
            self._has_id = self._has_id or operation.message_id is not None
        self.groups[type(operation)].append((write, operation))
