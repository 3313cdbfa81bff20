"""Waits: what each task that may be part of a deadlock waits for, as the detection of deadlocks reads it."""

import asyncio
from typing import Any

Wait = tuple[Any, int | None, Any]
"""What is waited for: the promise, the piece of it (None for the whole), and the node whose code waits, or None."""

waits: "dict[asyncio.Future[Any], Wait]" = {}
"""The waits under way, by the future that wakes whoever waits: that of code of a node, or that works for a promise.

One for all systems: a task tells which future it waits for, and not which system it belongs to.
"""
