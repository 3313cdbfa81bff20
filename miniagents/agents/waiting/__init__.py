"""Waits for answers from outside: `ctx.wait_for`, `system.pending()` and `system.deliver()`."""
