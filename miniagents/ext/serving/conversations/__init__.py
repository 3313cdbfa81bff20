"""Conversations: their store, their turns, and the ids of their items."""
