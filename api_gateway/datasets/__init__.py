"""Named datasets over HTTP."""
