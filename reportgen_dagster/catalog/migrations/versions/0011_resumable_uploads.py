"""Uploads over several requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply the revision."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "resumable_uploads",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("owner_id", sa.String(32), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("state", sa.String(16), nullable=False, server_default=sa.text("'receiving'")),
        sa.Column("digest", sa.String(64), nullable=True),
        sa.Column("version_id", sa.String(32), nullable=True),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", moment, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("expires_at", moment, nullable=False),
        sa.CheckConstraint(
            "state in ('receiving', 'complete', 'refused')", name=op.f("ck_resumable_uploads_state")
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_resumable_uploads_owner_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["dataset_versions.id"],
            name=op.f("fk_resumable_uploads_version_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resumable_uploads")),
    )
    for column in ("owner_id", "version_id", "expires_at"):
        op.create_index(op.f(f"ix_resumable_uploads_{column}"), "resumable_uploads", [column])


def downgrade() -> None:
    """Take the revision back. What has not come whole is lost."""
    op.drop_table("resumable_uploads")
