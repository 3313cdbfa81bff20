"""The visible side of a system: events, the tree, the caller."""
