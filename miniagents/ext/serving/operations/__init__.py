"""Operating a service: its health, what runs, its own document."""
