"""Named reports over HTTP."""
