"""The wire formats of OpenAI's and Anthropic's APIs from the side of the server: for services and fake providers."""
