"""`miniagents bench`: measuring the runtime with built-in workloads, or an agent of the user."""
