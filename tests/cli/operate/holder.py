"""A program that has a journal open without a system: `python -m tests.cli.operate.holder JOURNAL`."""

import sys

from miniagents.journal import SqliteJournal

journal = SqliteJournal(sys.argv[1])
journal.open()
print("ready", flush=True)
sys.stdin.read()
