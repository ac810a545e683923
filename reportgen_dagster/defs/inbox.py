"""The sensor that watches the inbox. What a sweep of it does is `services/inbox.py`'s."""

from __future__ import annotations

from dagster import DefaultSensorStatus, SensorEvaluationContext, SkipReason, sensor

from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.errors import ConflictError
from reportgen_dagster.services import inbox

INTERVAL_SECONDS = 5


@sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Takes complete files from the inbox's folders `<user>/<dataset>/`: each becomes a version of that dataset.",
)
def watch_inbox(context: SensorEvaluationContext) -> SkipReason:
    """Sweep the inbox once and tell what was done. It launches nothing: a dataset's new version does."""
    try:
        swept = inbox.sweep(context_of_process(), context.cursor or "")
    except ConflictError as error:
        return SkipReason(error.detail)
    context.update_cursor(swept.cursor)
    return SkipReason(str(swept))
