"""Conversations: what was said, kept from one request to the next."""
