"""The metadata catalog in PostgreSQL: tables, queries, one unit of work that commits, migrations."""
