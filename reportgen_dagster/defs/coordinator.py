"""The run coordinator: launches at once while there is room, and queues otherwise.

The queue alone costs a second or more for each run, since the daemon looks at it only now and then.
"""

from __future__ import annotations

from dagster import DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator

WAITING_OR_BUSY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


class HybridRunCoordinator(QueuedRunCoordinator):
    """Skips the queue for a new run while fewer runs wait or work than may work at once."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Launch the run now or queue it; what is queued already is left to the daemon."""
        run = context.dagster_run
        if run.status == DagsterRunStatus.NOT_STARTED and self._has_room():
            self._instance.launch_run(run.run_id, context.workspace)
            return self._instance.get_run_by_id(run.run_id) or run
        return super().submit_run(context)

    def _has_room(self) -> bool:
        limit = self.get_run_queue_config().max_concurrent_runs
        return limit < 0 or self._instance.get_runs_count(RunsFilter(statuses=WAITING_OR_BUSY)) < limit
