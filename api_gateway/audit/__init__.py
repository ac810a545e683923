"""The audit over HTTP, for admins."""
