"""Queries on a catalog that is about to be filled from a backup, or just was: what is in it, and what is not true any more."""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.session import short_lived_engine

_TABLES = text("SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")


def revision(session: Session) -> str:
    """Return the revision of the catalog's tables."""
    return str(session.scalar(text("SELECT version_num FROM alembic_version")))


def is_empty(session: Session | Connection) -> bool:
    """Tell whether a database has no table."""
    return bool(session.scalar(_TABLES) == 0)


def is_empty_database(url: str) -> bool:
    """Tell whether a database that is not the catalog's has no table."""
    with short_lived_engine(url).connect() as connection:
        return is_empty(connection)


def end_sessions(session: Session) -> None:
    """End all sessions: tokens that were used up or revoked after the backup would be good again."""
    session.execute(
        text(
            "UPDATE sessions SET revoked_at = now(), revoked_reason = 'restored from a backup'"
            " WHERE revoked_at IS NULL"
        )
    )


def end_leases(session: Session) -> None:
    """End the leases of attempts that went on elsewhere."""
    session.execute(
        text("UPDATE leases SET ended_at = clock_timestamp(), ending = 'interrupted' WHERE ended_at IS NULL")
    )


def accept_again(session: Session) -> int:
    """Let every unfinished run be made from its beginning, by nobody who worked on it before; return how many there are."""
    rows = session.execute(
        text(
            """
            UPDATE runs SET state = 'accepted', stage = 'waiting', progress = 0, fence = fence + 1,
                launched_at = NULL, launches = 0, dagster_run_id = NULL
            WHERE state IN ('accepted', 'running') RETURNING id
            """
        )
    )
    return len(rows.all())
