"""The turn of a run among those of other owners, and each user's priority and number of runs at the same time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply the revision. Runs of before have the first turn."""
    op.add_column(
        "users", sa.Column("priority", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("users", sa.Column("max_runs", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("turn", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_index(
        "ix_runs_owner_turn", "runs", ["owner_id", "turn"], postgresql_where=sa.text("state <> 'cancelled'")
    )
    op.create_index(
        "ix_runs_begun_turn", "runs", ["turn"], postgresql_where=sa.text("started_at is not null")
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_index("ix_runs_begun_turn", table_name="runs")
    op.drop_index("ix_runs_owner_turn", table_name="runs")
    op.drop_column("runs", "turn")
    op.drop_column("users", "max_runs")
    op.drop_column("users", "priority")
