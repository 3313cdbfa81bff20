"""What is built on the core and needs more than it: each part behind an extra of its own."""
