"""Users over HTTP, for admins."""
