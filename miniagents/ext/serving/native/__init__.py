"""The service's own API: agents as JSON, as events, and as a WebSocket."""
