"""The caller's own account over HTTP: name, password, sessions, API tokens."""
