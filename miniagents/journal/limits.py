"""The limits that journals have by default."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The largest body of a message, in bytes."""

PATIENCE = 0.3
"""Seconds that an interaction waits to find out which of several recorded ones it is."""
