"""Runs as a resource over HTTP."""
