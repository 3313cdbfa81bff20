"""A supervised swarm that answers a question from a folder of documents, and cites the source of each statement."""
