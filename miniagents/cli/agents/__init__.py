"""The commands that call an agent of the user's: `miniagents run` and `miniagents chat`."""
