"""Who has the next turn, and the tasks that run turns."""
