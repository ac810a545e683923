"""Previews over HTTP."""
