"""Who may sign webhooks with which secret."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply the revision. Nobody may sign anything over HTTP until the operator says so; reports that are there go on."""
    op.create_table(
        "secret_grants",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(32), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_secret_grants_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("name", "user_id", name=op.f("pk_secret_grants")),
    )
    op.create_index("ix_secret_grants_user_id", "secret_grants", ["user_id"])


def downgrade() -> None:
    """Take the revision back. Who might sign with what is forgotten."""
    op.drop_table("secret_grants")
