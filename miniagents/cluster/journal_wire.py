"""Operations and queries of a journal, and their results, as the plain data of items."""

from functools import cache
from typing import Any, get_args, get_origin

import msgspec

from miniagents import journal
from miniagents.errors import DecodeError
from miniagents.journal import Operation, Query

_KINDS = {
    name: kind
    for name, kind in vars(journal).items()
    if isinstance(kind, type) and issubclass(kind, (Operation, Query)) and kind not in (Operation, Query)
}


def work_to_wire(work: Operation[Any] | Query[Any]) -> list[Any]:
    """Return an operation or a query as plain data."""
    return [type(work).__name__, msgspec.to_builtins(work, builtin_types=(bytes,))]


def work_from_wire(data: Any) -> Any:
    """Return the operation or the query of plain data.

    Raises:
        DecodeError: The data are not those of an operation or a query.
    """
    try:
        name, fields = data
        return msgspec.convert(fields, _KINDS[name])
    except (KeyError, TypeError, ValueError) as error:  # a `msgspec.ValidationError` is a `ValueError`
        raise DecodeError(f"these data are not those of an operation or a query of a journal: {error!r}") from error


def result_from_wire(work: Operation[Any] | Query[Any], data: Any) -> Any:
    """Return the result of an operation or a query.

    Args:
        work: The operation or query.
        data: The plain data of its result.

    Raises:
        DecodeError: The data are not those of such a result.
    """
    try:
        return msgspec.convert(data, _result_type(type(work)))
    except msgspec.ValidationError as error:
        raise DecodeError(f"these data are no result of {type(work).__name__}: {error}") from error


@cache
def _result_type(kind: type) -> Any:
    """Return the type of the results of a class of operations or queries: the argument of its base."""
    (base,) = [base for base in kind.__orig_bases__ if get_origin(base) in (Operation, Query)]  # type: ignore[attr-defined]
    return get_args(base)[0]
