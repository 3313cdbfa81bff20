"""`python -m miniagents`: the same as the `miniagents` command."""

import sys

from miniagents.cli import main

if __name__ == "__main__":
    sys.exit(main())
