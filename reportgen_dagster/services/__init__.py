"""Use cases as plain functions over catalog, storage and engine. Imports nothing, so the gateway stays light."""
