"""A support desk on FastAPI: an agent answers customers, and a human approves refunds, today or next week."""
