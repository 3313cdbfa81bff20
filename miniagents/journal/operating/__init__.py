"""Operating a journal: what an operator can look at and do, in a file that nobody has open or in a running system."""

from miniagents.journal.operating.commands import commands_of
from miniagents.journal.operating.control import control_of_journal
from miniagents.journal.operating.operator import Operator
from miniagents.journal.operating.system_operator import SystemOperator

__all__ = ["Operator", "SystemOperator", "commands_of", "control_of_journal"]
