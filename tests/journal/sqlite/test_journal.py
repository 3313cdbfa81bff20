"""`SqliteJournal`: the rules of a journal, opening and closing, the errors of the disk."""

from pathlib import Path

import pytest

from miniagents.journal import SqliteJournal
from miniagents.testing import check_journal

pytestmark = pytest.mark.real_time


@pytest.mark.parametrize("rollback_journal", [False, True])
async def test_a_sqlite_journal_keeps_the_rules_of_a_journal(tmp_path: Path, rollback_journal: bool) -> None:
    await check_journal(lambda: SqliteJournal(tmp_path / "journal.db", rollback_journal=rollback_journal))
