"""A journal in a file of SQLite."""

from miniagents.journal.sqlite.journal import SqliteJournal

__all__ = ["SqliteJournal"]
