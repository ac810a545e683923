"""Everything Dagster, a file a concept: thin decorated functions over services."""
