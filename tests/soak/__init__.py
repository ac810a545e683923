"""Rigs that run for minutes: `python -m tests.soak.<name>`. pytest does not collect them."""
