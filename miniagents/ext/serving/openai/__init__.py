"""OpenAI's APIs: chat completions, responses, conversations."""
