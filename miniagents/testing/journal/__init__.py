"""The conformance test of journals."""

from miniagents.testing.journal.check import check_journal

__all__ = ["check_journal"]
