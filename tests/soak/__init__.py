"""Soaks: real programs that are killed again and again and go on, as often as no ordinary test run has time for."""
