"""Queries for the clocks: when each report with a limit last succeeded, when each expected dataset last came.

What follows from that is for `services/freshness.py` to say.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, text
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.named import NAMED

_REPORTS = text(
    """
    SELECT r.id, r.owner_id, r.name, r.fresh_within_seconds, r.created_at, last.finished_at AS succeeded_at
    FROM reports r LEFT JOIN LATERAL (
        SELECT finished_at FROM runs WHERE report_id = r.id AND state = 'succeeded' ORDER BY finished_at DESC LIMIT 1
    ) AS last ON true
    WHERE r.fresh_within_seconds IS NOT NULL ORDER BY r.id
    """
)
_DATASETS = text(
    f"""
    SELECT d.id, d.owner_id, d.name, d.expected_cron, d.expected_timezone, d.expected_within_seconds,
        coalesce(d.expected_since, d.created_at) AS expected_since, last.received_at
    FROM datasets d LEFT JOIN LATERAL (
        SELECT received_at FROM dataset_versions WHERE dataset_id = d.id ORDER BY number DESC LIMIT 1
    ) AS last ON true
    WHERE d.expected_cron IS NOT NULL AND d.{NAMED} ORDER BY d.id
    """  # noqa: S608 - a constant
)


def reports(session: Session) -> list[Row[Any]]:
    """Return every report that is to be fresh, with its last success."""
    return list(session.execute(_REPORTS))


def datasets(session: Session) -> list[Row[Any]]:
    """Return every named dataset that is expected, with when its bytes last came."""
    return list(session.execute(_DATASETS))


def now(session: Session) -> datetime:
    """Return the database's time, by which all these times were written."""
    moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return moment
