"""Indexes for the last runs of reports and schedules, and since when a dataset is expected."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply the revision. Datasets that are expected already are so since they are there."""
    op.add_column("datasets", sa.Column("expected_since", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE datasets SET expected_since = created_at WHERE expected_cron IS NOT NULL")
    op.create_index("ix_runs_report_accepted", "runs", ["report_id", "accepted_at", "id"])
    op.create_index("ix_runs_schedule_accepted", "runs", ["schedule_id", "accepted_at", "id"])
    op.drop_index("ix_runs_report_id", table_name="runs")


def downgrade() -> None:
    """Take the revision back."""
    op.create_index("ix_runs_report_id", "runs", ["report_id"])
    op.drop_index("ix_runs_schedule_accepted", table_name="runs")
    op.drop_index("ix_runs_report_accepted", table_name="runs")
    op.drop_column("datasets", "expected_since")
