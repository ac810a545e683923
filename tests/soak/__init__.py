"""Long rigs, run by hand: `python -m tests.soak.<name> [numbers]` prints what it measured and exits with 1 on a violation."""
