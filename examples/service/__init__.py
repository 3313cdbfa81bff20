"""An agent inside a FastAPI service."""
