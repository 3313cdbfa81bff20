"""The native API of the service: agents as JSON, as events, and as a WebSocket."""
