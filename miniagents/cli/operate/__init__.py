"""The commands for what is in a journal: jobs, waits, dead letters, and the file itself.

A process that has the journal is asked over its control socket. If nobody has it, the command opens the file.
"""

from miniagents.cli.operate.dead_letters import add_dead_letters
from miniagents.cli.operate.jobs import add_jobs
from miniagents.cli.operate.journal import add_journal
from miniagents.cli.operate.waits import add_deliver, add_pending

__all__ = ["add_dead_letters", "add_deliver", "add_jobs", "add_journal", "add_pending"]
