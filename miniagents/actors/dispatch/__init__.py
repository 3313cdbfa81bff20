"""The order of turns, and the tasks that run them."""
