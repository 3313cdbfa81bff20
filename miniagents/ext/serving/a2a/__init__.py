"""The server side of the Agent2Agent protocol: each agent behind its card."""
