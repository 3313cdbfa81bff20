"""The commands that call an agent of the user's: `miniagents run`, `chat`, `eval` and `record`, and `replay`."""
