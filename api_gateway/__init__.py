"""The HTTP face of reportgen: checks who asks and what was sent, stores it, records it, asks Dagster to run."""
