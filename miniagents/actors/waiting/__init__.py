"""Who waits for whom, and the end of a wait."""
