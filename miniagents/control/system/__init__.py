"""What the commands of `miniagents` ask of any running system: its tree, its calls, and where it hangs."""

from miniagents.control.system.commands import commands_of_system
from miniagents.control.system.opening import open_control

__all__ = ["commands_of_system", "open_control"]
