"""Uploads of rules and files over HTTP."""
