"""`miniagents top`: the supervision tree of a running process in the terminal."""
