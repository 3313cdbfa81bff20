"""`log_to_stderr`: the log of a command, beside its result."""

import sys

import structlog


def log_to_stderr() -> None:
    """Send the log to standard error, unless the program has configured structlog. Standard output is for results."""
    if not structlog.is_configured():
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
