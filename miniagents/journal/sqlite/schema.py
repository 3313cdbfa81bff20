"""The tables of a `SqliteJournal`, and how an older file becomes a newer one."""

import sqlite3

from miniagents.errors import JournalError

APPLICATION_ID = 0x4D416A6E
"""The number in the head of the file that tells a journal from other databases ("MAjn")."""

_VERSION_1 = (
    # How often the journal was opened, and the last number that was given out.
    "CREATE TABLE process (number INTEGER NOT NULL, last_id INTEGER NOT NULL)",
    "INSERT INTO process VALUES (0, 0)",
    # Names that many rows have: paths of actors, types of messages, agents, jobs.
    "CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """CREATE TABLE envelopes (
        number INTEGER PRIMARY KEY, receiver INTEGER NOT NULL, body BLOB NOT NULL, kind INTEGER NOT NULL,
        message_id TEXT, meta BLOB NOT NULL, attempts INTEGER NOT NULL, at REAL NOT NULL
    )""",
    "CREATE INDEX envelopes_of ON envelopes (receiver)",
    """CREATE TABLE letters (
        number INTEGER PRIMARY KEY, receiver INTEGER NOT NULL, body BLOB NOT NULL, kind INTEGER NOT NULL,
        message_id TEXT, meta BLOB NOT NULL, attempts INTEGER NOT NULL, at REAL NOT NULL,
        reason TEXT NOT NULL, error TEXT NOT NULL, buried_at REAL NOT NULL
    )""",
    "CREATE INDEX letters_of ON letters (receiver)",
    """CREATE TABLE message_ids (
        receiver INTEGER NOT NULL, message_id TEXT NOT NULL, content_key BLOB NOT NULL, standing INTEGER NOT NULL,
        number INTEGER NOT NULL, outcome BLOB NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (receiver, message_id)
    ) WITHOUT ROWID""",
    """CREATE TABLE timers (
        actor TEXT NOT NULL, name TEXT NOT NULL, rule TEXT NOT NULL, due_at REAL NOT NULL, body BLOB NOT NULL,
        kind TEXT NOT NULL, meta BLOB NOT NULL, PRIMARY KEY (actor, name)
    ) WITHOUT ROWID""",
    "CREATE TABLE uids (path TEXT PRIMARY KEY, uid INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE snapshots (
        owner TEXT NOT NULL PRIMARY KEY, state BLOB NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL
    )""",
    """CREATE TABLE lives (
        subject TEXT PRIMARY KEY, process INTEGER NOT NULL, is_busy INTEGER NOT NULL,
        has_progressed INTEGER NOT NULL, deaths INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE jobs (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, agent TEXT NOT NULL, input_key BLOB NOT NULL,
        input BLOB NOT NULL, state INTEGER NOT NULL, detail BLOB NOT NULL, started_at REAL NOT NULL,
        changed_at REAL NOT NULL
    )""",
    """CREATE TABLE rows (
        id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, slot BLOB NOT NULL, number INTEGER NOT NULL,
        job INTEGER NOT NULL, agent INTEGER NOT NULL, state INTEGER NOT NULL, started INTEGER NOT NULL,
        finished INTEGER NOT NULL, attempts INTEGER NOT NULL, inputs BLOB NOT NULL,
        is_input_complete INTEGER NOT NULL, error BLOB NOT NULL, at REAL NOT NULL
    )""",
    "CREATE INDEX rows_at ON rows (parent, slot)",
    "CREATE INDEX rows_of_job ON rows (job)",
    """CREATE TABLE replies (
        row INTEGER NOT NULL, position INTEGER NOT NULL, message BLOB NOT NULL, inputs INTEGER NOT NULL,
        tokens BLOB NOT NULL, error BLOB NOT NULL, PRIMARY KEY (row, position)
    ) WITHOUT ROWID""",
    """CREATE TABLE records (
        row INTEGER NOT NULL, kind TEXT NOT NULL, key BLOB NOT NULL, number INTEGER NOT NULL, value BLOB,
        message BLOB NOT NULL, PRIMARY KEY (row, kind, key, number)
    ) WITHOUT ROWID""",
    "CREATE TABLE messages (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, body BLOB NOT NULL)",
    """CREATE TABLE waits (
        job TEXT NOT NULL, row INTEGER NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, agent TEXT NOT NULL,
        prompt BLOB NOT NULL, kind TEXT NOT NULL, due_at REAL, since REAL NOT NULL, state INTEGER NOT NULL,
        answer BLOB, answer_kind TEXT, answered_by TEXT, answered_at REAL, owner TEXT NOT NULL,
        PRIMARY KEY (job, row, name, number)
    ) WITHOUT ROWID""",
    "CREATE INDEX waits_in_state ON waits (state)",
    """CREATE TABLE early_answers (
        id INTEGER PRIMARY KEY, job TEXT NOT NULL, name TEXT NOT NULL, answer BLOB NOT NULL,
        answer_kind TEXT NOT NULL, answered_by TEXT NOT NULL, answered_at REAL NOT NULL
    )""",
    "CREATE INDEX early_answers_for ON early_answers (job, name)",
)

MIGRATIONS = (_VERSION_1,)
"""The statements that lead from each version of the schema to the next one. A released version never changes."""


def migrate(database: sqlite3.Connection, path: str) -> None:
    """Bring the tables of an open database to the current version, in one transaction.

    Raises:
        JournalError: The file is of a newer version, or no journal at all. Nothing in it is changed.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (tables or application or version):
        raise JournalError(f"{path} is the database of another program; give the journal a file of its own", path=path)
    if version > len(MIGRATIONS):
        raise JournalError(
            f"{path} was written by a newer MiniAgents: its schema has version {version}, and this one reads up to "
            f"{len(MIGRATIONS)}. Upgrade miniagents, or use another file",
            path=path,
        )
    if version == len(MIGRATIONS):
        return
    database.execute("BEGIN IMMEDIATE")
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            database.execute(statement)
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    database.execute("COMMIT")
