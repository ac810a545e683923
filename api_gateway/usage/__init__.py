"""How much of the service the caller uses and may use."""
