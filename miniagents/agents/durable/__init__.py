"""Durable interactions: calls of agents that are recorded in a journal, and answered from it."""
