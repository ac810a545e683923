"""Contracts of tables: which columns and types hold, rendered to pandera schemas."""
