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


class Run:
    """Neighbours among the operations of a transaction that can be carried out kind by kind.

    No row depends on their order, save that an envelope is accepted before it is handled, and a row is started before
    other operations name it. One result does: where one
    caller sends a message id again while another one handles it, the answer is that it was handled. Within one write
    the order holds.
    """

    def __init__(self) -> None:
        self.groups: dict[type, tuple[list[int], list[Any]]] = {kind: ([], []) for kind in GROUPED}
        """The operations by kind, behind the numbers of the writes that get their results, or `NO_RESULT`."""
        self._accepted: set[int] = set()
        self._write_with_id = NO_RESULT

    def add(self, write: int, operation: Any, *, is_first: bool) -> bool:
        """Add an operation, unless it cannot be carried out with those that are here.

        Args:
            write: The number of its write, from 0.
            operation: The operation.
            is_first: Whether it is the first one of its write, so that its result is that of the write.

        Returns:
            Whether it was added.
        """
        kind = type(operation)
        group = self.groups.get(kind)
        if group is None:
            return False
        if kind is mail.Accept:
            self._accepted.add(operation.number)
            if operation.message_id is not None:
                self._write_with_id = write
        elif kind is mail.Handle and (self._write_with_id == write or operation.number in self._accepted):
            return False
        places, operations = group
        places.append(write if is_first else NO_RESULT)
        operations.append(operation)
        return True
