"""Long rigs that pytest does not collect: `python -m tests.soak.<name>` prints what it measured, exits with 1 on a violation."""
