"""The sensor that removes what is old or belongs to nothing. For how long what is kept is services/retention.py's."""

from __future__ import annotations

from dagster import DefaultSensorStatus, SensorEvaluationContext, SkipReason, sensor

from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.services import retention

INTERVAL_SECONDS = 600


@sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Removes files of runs and replaced versions of datasets after RETENTION_DAYS, and what belongs to nothing.",
)
def remove_old_files(_context: SensorEvaluationContext) -> SkipReason:
    """Remove a batch."""
    return SkipReason(str(retention.remove_old(context_of_process())))
