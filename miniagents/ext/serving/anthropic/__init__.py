"""Anthropic's API: messages, counts of tokens, and models."""
