"""Which formats reports are made in, and what a run was made from, so that the same is not made twice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply the revision. Runs that are there already have no recipe, so nobody takes their files over."""
    op.add_column("reports", sa.Column("formats", postgresql.JSONB(), nullable=True))
    op.add_column("runs", sa.Column("formats", postgresql.JSONB(), nullable=True))
    op.add_column("runs", sa.Column("recipe", sa.String(64), nullable=True))
    op.create_index(
        "ix_runs_recipe",
        "runs",
        ["owner_id", "recipe"],
        postgresql_where=sa.text("state = 'succeeded' and recipe is not null"),
    )


def downgrade() -> None:
    """Take the revision back. Only the CSV file of each report is known afterwards."""
    op.drop_index("ix_runs_recipe", table_name="runs")
    op.drop_column("runs", "recipe")
    op.drop_column("runs", "formats")
    op.drop_column("reports", "formats")
    op.execute("DELETE FROM artifacts WHERE format <> 'csv'")
