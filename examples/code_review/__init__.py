"""A crew reviews a repository over MCP: a reviewer for each kind of fault, and an editor who merges what they find."""
