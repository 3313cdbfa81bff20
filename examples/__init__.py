"""Examples: each runs with `python -m examples.<name>`."""
