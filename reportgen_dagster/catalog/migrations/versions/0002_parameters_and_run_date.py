"""Parameters and run date of a run, parameters of a schedule, and how many rows of the input a run used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply the revision. Runs of before get the date that they were due or accepted on, in UTC."""
    for table in ("schedules", "runs"):
        op.add_column(
            table,
            sa.Column(
                "parameters",
                postgresql.JSONB(astext_type=sa.Text()),
                server_default=sa.text("'{}'"),
                nullable=False,
            ),
        )
    op.add_column("runs", sa.Column("run_date", sa.Date(), nullable=True))
    op.add_column("runs", sa.Column("used_count", sa.BigInteger(), nullable=True))
    runs = sa.table(
        "runs",
        sa.column("run_date", sa.Date()),
        sa.column("due_at", sa.DateTime(timezone=True)),
        sa.column("accepted_at", sa.DateTime(timezone=True)),
        sa.column("used_count", sa.BigInteger()),
        sa.column("row_count", sa.BigInteger()),
    )
    moment = sa.func.timezone("UTC", sa.func.coalesce(runs.c.due_at, runs.c.accepted_at))
    op.execute(runs.update().values(run_date=sa.cast(moment, sa.Date()), used_count=runs.c.row_count))
    op.alter_column("runs", "run_date", nullable=False)


def downgrade() -> None:
    """Take the revision back."""
    op.drop_column("runs", "used_count")
    op.drop_column("runs", "run_date")
    op.drop_column("runs", "parameters")
    op.drop_column("schedules", "parameters")
