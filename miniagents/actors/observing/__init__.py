"""What others can see of a system: its events, its tree, who is calling."""
