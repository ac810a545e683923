"""Where reports are delivered to, and the outbox of what is on its way there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply the revision. Reports that are there already deliver nowhere."""
    op.add_column(
        "reports", sa.Column("deliveries", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'"))
    )
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("owner_id", sa.String(32), nullable=False),
        sa.Column("report_id", sa.String(32), nullable=True),
        sa.Column("report_name", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(32), nullable=True),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("words", sa.Text(), nullable=True),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("destination", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, server_default=sa.text("'pending'")),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("next_at", moment, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("give_up_at", moment, nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("leased_until", moment, nullable=True),
        sa.Column("last_error", postgresql.JSONB(), nullable=True),
        sa.Column("delivered_at", moment, nullable=True),
        sa.Column("created_at", moment, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.CheckConstraint("state in ('pending', 'delivered', 'dead')", name=op.f("ck_deliveries_state")),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_deliveries_owner_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["report_id"], ["reports.id"], name=op.f("fk_deliveries_report_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_deliveries_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index("ix_deliveries_run_id", "deliveries", ["run_id"])
    op.create_index(
        "ix_deliveries_pending",
        "deliveries",
        ["channel", "next_at"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_deliveries_dead", "deliveries", ["report_id"], postgresql_where=sa.text("state = 'dead'")
    )
    op.create_index("ix_deliveries_report_created", "deliveries", ["report_id", "created_at"])
    op.create_index("ix_deliveries_owner_created", "deliveries", ["owner_id", "created_at", "id"])


def downgrade() -> None:
    """Take the revision back. What is on its way is lost."""
    op.drop_table("deliveries")
    op.drop_column("reports", "deliveries")
