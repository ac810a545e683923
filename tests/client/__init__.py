"""The Python client and the commands that use it, against a real gateway on a port."""
