"""What a release is checked for: `python -m tests.release`, or `make release-check`."""
