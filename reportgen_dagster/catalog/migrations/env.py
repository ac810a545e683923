"""Runs the revisions on the connection that `catalog.session.migrate` hands over, and nothing else."""

from __future__ import annotations

from alembic import context

from reportgen_dagster.catalog.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
