"""The `reportgen` command."""
