"""Events of runs, and requests that were carried out under an Idempotency-Key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"

# Runs of before have happened, too: who watches one gets its beginning and where it is now.
_PAST = (
    """
    INSERT INTO run_events (run_id, number, kind, stage, progress, at)
    SELECT id, 1, 'accepted', 'waiting', 0, accepted_at FROM runs
    """,
    """
    INSERT INTO run_events (run_id, number, kind, stage, progress, rows, rejected, error, at)
    SELECT id, 2, CASE state WHEN 'running' THEN 'stage' ELSE state END, stage, progress,
        row_count, reject_count, error, coalesce(finished_at, started_at, accepted_at)
    FROM runs WHERE state <> 'accepted'
    """,
)


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "run_events",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("progress", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger()),
        sa.Column("rejected", sa.BigInteger()),
        sa.Column("error", JSONB()),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            "kind in ('accepted', 'stage', 'progress', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_run_events_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_run_events_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_run_events")),
    )
    for statement in _PAST:
        op.execute(statement)
    op.create_table(
        "idempotency_keys",
        sa.Column("owner_id", sa.String(32), nullable=False),
        sa.Column("call", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_idempotency_keys_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner_id", "call", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"])


def downgrade() -> None:
    """Take the revision back. Keys of the last day are forgotten, and what happened on the way of runs."""
    op.drop_table("idempotency_keys")
    op.drop_table("run_events")
