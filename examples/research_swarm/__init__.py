"""A supervised swarm that answers a question from a folder of documents, and says where each statement comes from."""
