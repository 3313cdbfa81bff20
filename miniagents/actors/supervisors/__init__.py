"""Supervisors at work: cells that keep children."""
