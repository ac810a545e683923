"""Tokens of programs, and attempts at what may be tried so often only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply the revision."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("user_id", sa.String(32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("last_used_at", moment, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_api_tokens_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_api_tokens_user_id_name")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_tokens_digest")),
    )
    op.create_table(
        "throttled_attempts",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("at", moment, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_throttled_attempts")),
    )
    op.create_index("ix_throttled_attempts_key_at", "throttled_attempts", ["key", "at"])
    op.create_index(op.f("ix_throttled_attempts_at"), "throttled_attempts", ["at"])


def downgrade() -> None:
    """Take the revision back. Tokens of programs are refused from then on."""
    op.drop_table("throttled_attempts")
    op.drop_table("api_tokens")
