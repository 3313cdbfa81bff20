"""The commands before anything runs: `miniagents new` makes a project, and `miniagents doctor` looks at the machine."""
