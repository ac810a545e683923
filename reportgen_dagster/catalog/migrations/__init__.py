"""The history of the catalog's tables, one revision a change, run by Alembic. Queries do not belong here."""
