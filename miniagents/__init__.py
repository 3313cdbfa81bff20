"""MiniAgents: an actor runtime for LLM agents."""
