"""Waits between actors: deadlocks, and the end of an actor."""
