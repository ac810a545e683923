"""The rules language's reference over HTTP."""
