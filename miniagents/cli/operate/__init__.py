"""The commands for what is in a journal: jobs, waits, dead letters, and the file itself.

A process that has the journal is asked over its control socket. If nobody has it, the command opens the file.
"""
