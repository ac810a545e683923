"""The sensor that sends what is to be delivered. What that is, and how it is sent, is `services/delivery.py`'s."""

from __future__ import annotations

from dagster import DefaultSensorStatus, SensorEvaluationContext, SkipReason, sensor

from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.services import delivery

INTERVAL_SECONDS = 5


@sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Sends e-mails, webhooks and copies of reports that are due, and tells what did not arrive.",
)
def send_deliveries(_context: SensorEvaluationContext) -> SkipReason:
    """Send what is due and tell what became of it. Dead deliveries also show in the check `delivered` of their report."""
    return SkipReason(str(delivery.send_due(context_of_process())))
