"""Users and admins."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply the revision. Who has an account already is a user."""
    op.add_column("users", sa.Column("role", sa.String(8), nullable=False, server_default=sa.text("'user'")))
    op.create_check_constraint(op.f("ck_users_role"), "users", "role in ('user', 'admin')")


def downgrade() -> None:
    """Take the revision back. Who was an admin is forgotten."""
    op.drop_constraint(op.f("ck_users_role"), "users")
    op.drop_column("users", "role")
