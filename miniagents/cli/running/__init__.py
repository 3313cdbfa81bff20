"""The commands for a running process: its tree, its calls, and what makes it slow.

The process is asked over its control socket, which a system has with a journal, with `MiniAgents(control=True)`, with
MINIAGENTS_CONTROL=1, and under `miniagents run`, `chat` and `serve`.
"""
