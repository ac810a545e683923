"""Where the rows of a dataset's version lie that cannot be read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Apply the revision. Versions that were looked at before have none."""
    op.add_column("dataset_versions", sa.Column("rejects_digest", sa.String(64)))
    op.add_column("dataset_versions", sa.Column("rejects_bytes", sa.BigInteger()))


def downgrade() -> None:
    """Take the revision back. The files belong to nothing then, and are removed from storage."""
    op.drop_column("dataset_versions", "rejects_bytes")
    op.drop_column("dataset_versions", "rejects_digest")
