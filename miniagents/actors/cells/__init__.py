"""Cells: an actor with its mailbox, its life and what belongs to it."""
