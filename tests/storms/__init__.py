"""Storms: random programs, each of one kind, that do everything at once; whatever a seed draws, nothing may go wrong."""
