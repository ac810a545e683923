"""Rigs that run for long and print what they measure; `python -m tests.soak.NAME`. pytest does not collect them."""
