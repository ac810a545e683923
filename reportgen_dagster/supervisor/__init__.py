"""Starts, watches and ends the processes of `reportgen up`. Starts Dagster, never imports it."""
