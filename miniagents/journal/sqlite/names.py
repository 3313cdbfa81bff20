"""Names by number: paths, types, agents and jobs, each of which stands in many rows."""

import sqlite3

_MOST = 100_000


class Names:
    """The table of names, with those that were used lately in memory.

    Args:
        database: The connection, in the thread of the journal.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """Return the number of a name, which is entered if it is new."""
        number = self._numbers.get(name)
        if number is None:
            number = self.known(name)
            if number is None:
                number = self._database.execute("INSERT INTO names (name) VALUES (?)", (name,)).lastrowid
                assert number is not None  # an INSERT has a row id
            if len(self._numbers) >= _MOST:
                self._numbers.clear()
            self._numbers[name] = number
        return number

    def known(self, name: str) -> int | None:
        """Return the number of a name, or None if it was never entered."""
        found = self._database.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
        return found[0] if found is not None else None

    def forget(self) -> None:
        """Forget what is in memory, after a transaction was rolled back, or names were removed."""
        self._numbers.clear()

    def sweep(self) -> None:
        """Remove the names that no row has."""
        self._database.execute(
            "DELETE FROM names WHERE id NOT IN (SELECT receiver FROM envelopes UNION SELECT kind FROM envelopes "
            "UNION SELECT receiver FROM letters UNION SELECT kind FROM letters UNION SELECT receiver FROM message_ids "
            "UNION SELECT job FROM rows UNION SELECT agent FROM rows)"
        )
        self.forget()
