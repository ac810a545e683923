"""Where a compiled query runs, one module a backend."""
