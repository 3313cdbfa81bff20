"""The commands that call an agent of the user's: `miniagents run`, `chat` and `eval`."""
