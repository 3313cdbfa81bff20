"""Inserting many rows."""

import sqlite3
from typing import Any

_AT_ONCE = 50


class Insert:
    """A statement that inserts rows, for 50 of them at once where there are so many.

    One statement of many rows takes two thirds of the time of as many statements, and runs without the lock of the
    interpreter, so that the loop goes on beside it.

    Args:
        head: The beginning of the statement, up to `VALUES`.
        row: The values of a row: a question mark for each that differs. What is the same in all rows is written out
            (`NULL`, `0`), since to bind a value takes as long as to store it.
        tail: The end of the statement, after the values.
    """

    def __init__(self, head: str, row: str, tail: str = "") -> None:
        self._columns = row.count("?")
        self._one = f"{head} ({row}) {tail}"
        self._many = f"{head} {', '.join([f'({row})'] * _AT_ONCE)} {tail}"

    def __call__(self, database: sqlite3.Connection, values: list[Any]) -> None:
        """Insert rows, in their order.

        Args:
            database: The connection.
            values: The values of all rows, one row behind the other. A tuple for each row would be one more object for
                the garbage collector to look at.
        """
        columns = self._columns
        step = _AT_ONCE * columns
        whole = len(values) - len(values) % step
        for start in range(0, whole, step):
            database.execute(self._many, values[start : start + step])
        if whole < len(values):
            rows = [values[start : start + columns] for start in range(whole, len(values), columns)]
            database.executemany(self._one, rows)
