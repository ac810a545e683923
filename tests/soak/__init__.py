"""Rigs that take longer than CI has: `make soak`, or one of them as `python -m tests.soak.<name>`."""
