"""Storms: random programs, each of one kind, that do everything at once. Whatever a seed draws, nothing goes wrong."""
