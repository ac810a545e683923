"""The door to the Dagster UI: sign-in for operators, and what the proxy in front asks."""
