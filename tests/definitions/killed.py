"""States that only a kill or the passing of time makes, put into the real catalog for a test."""

from __future__ import annotations

from sqlalchemy import text

from reportgen_dagster.services import attempts, generation
from reportgen_dagster.services.context import Context


def publish_without_telling_dagster(context: Context, run_id: str) -> None:
    """Do what a worker does that is killed right after its publish commits."""
    assert attempts.begin(context, "killed", "host:1")
    claim = attempts.claim(context, run_id, "killed")
    with context.store.work_folder("killed") as work:
        ingested = generation.ingest(context, claim, work)
        produced = generation.transform(context, generation.validate(context, ingested), work)
        assert generation.publish(context, produced)
        ingested.close()
    attempts.end(context, "killed", "lost")


def let_seconds_pass(context: Context, run_id: str, seconds: int) -> None:
    """Make a run as if it had been accepted earlier."""
    with context.catalog.transaction() as session:
        session.execute(
            text(
                "update runs set accepted_at = accepted_at - make_interval(secs => :seconds) where id = :id"
            ),
            {"seconds": seconds, "id": run_id},
        )
