"""What all endpoints have in common: bodies, limits, keys, errors, streams."""
