"""HTTP without agents: bodies, limits, tokens, hosts, errors, request ids, streams of events, the access log."""
