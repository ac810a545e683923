"""For how long files of a user's and of a report's runs are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"


def upgrade() -> None:
    """Apply the revision. What there is already is kept for as long as the installation says."""
    op.add_column("users", sa.Column("retention_days", sa.BigInteger()))
    op.add_column("reports", sa.Column("retention_days", sa.BigInteger()))
    op.add_column("reports", sa.Column("keep_runs", sa.BigInteger()))
    op.create_index("ix_runs_finished_at", "runs", ["finished_at"])


def downgrade() -> None:
    """Take the revision back. What users and reports said is forgotten."""
    op.drop_index("ix_runs_finished_at", "runs")
    op.drop_column("reports", "keep_runs")
    op.drop_column("reports", "retention_days")
    op.drop_column("users", "retention_days")
