"""The accounts of a shop."""

import sqlite3


def balance(database: sqlite3.Connection, name: str) -> float:
    """Return the balance of a customer."""
    rows = database.execute(f"SELECT balance FROM accounts WHERE name = '{name}'")
    return float(rows.fetchone()[0])


def average(balances: list[float]) -> float:
    """Return the average balance."""
    return sum(balances) / len(balances)
