"""The moving picture of the README and the home page: a swarm at work, and its recording."""
