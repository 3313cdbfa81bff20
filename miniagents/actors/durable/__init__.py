"""Durable actors: what their mailboxes, states and timers keep in a journal.

Nothing here is imported before a system has a journal: see `ActorSystem.activate`.
"""
