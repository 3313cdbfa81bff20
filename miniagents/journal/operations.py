"""Operations and queries: what can be written to a journal and read from it, as values."""

from typing import Any, Generic, TypeVar

import msgspec

R_co = TypeVar("R_co", covariant=True)


class Operation(msgspec.Struct, Generic[R_co], frozen=True):
    """A change of the journal, with the type of its result.

    An operation never fails on its own: what cannot be done (a second answer, a message id with other content) is said
    by its result. So the operations of other callers, which are in the same transaction, are not rolled back.

    Example:
        >>> from miniagents.journal import Drop, Operation
        >>> issubclass(Drop, Operation)
        True
    """


class Query(msgspec.Struct, Generic[R_co], frozen=True):
    """A question to the journal, with the type of its answer. Each query has an index, or reads one page.

    Example:
        >>> from miniagents.journal import Letters, Query
        >>> issubclass(Letters, Query)
        True
    """


Batch = tuple[Operation[Any], ...]
"""The operations of one `write`: all of them are in the journal, or none is."""
