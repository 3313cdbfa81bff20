"""The wire formats of other services' APIs, as their servers speak them: for agents behind HTTP, and fake providers."""
