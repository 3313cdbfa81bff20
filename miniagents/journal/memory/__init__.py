"""A journal in memory: the simplest one, for tests and as the model of what a journal does."""
