"""Signs of life over HTTP."""
