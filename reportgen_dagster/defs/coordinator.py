"""The run coordinator: launches at once while there is room, and queues otherwise.

The queue alone costs a second or more for each run, since the daemon looks at it only now and then. Whose turn it is in the
queue is `services/launching.py`'s; the daemon goes by the priority and the limits that it gives.
"""

from __future__ import annotations

from contextlib import suppress

from dagster import DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator, RunQueueConfig
from dagster._core.storage.dagster_run import ACTIVE_RUN_STATUSES

from reportgen_dagster.defs.keys import OWNER_TAG, PROFILE_JOB_NAME, RUN_ID_TAG
from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.errors import UnavailableError
from reportgen_dagster.services import attempts, launching

# A worker is idle for that long between two runs that waited. What dagster.yaml takes are whole seconds.
DEQUEUE_SECONDS = 0.5


class HybridRunCoordinator(QueuedRunCoordinator):
    """Skips the queue for a new run while a worker is free, the run's owner has room and nobody waits before it."""

    @property
    def dequeue_interval_seconds(self) -> float:  # type: ignore[override]  # the daemon takes it as it is
        """Return how often the daemon looks whether a run that waits may be launched."""
        return DEQUEUE_SECONDS

    def get_run_queue_config(self) -> RunQueueConfig:
        """Return what the daemon goes by: as many runs as workers, and of each owner as many as he may have."""
        config = super().get_run_queue_config()
        limits = launching.limits(context_of_process())
        of_owners = [
            {"key": OWNER_TAG, "value": owner_id, "limit": limit} for owner_id, limit in limits.items()
        ]
        return config._replace(tag_concurrency_limits=[*config.tag_concurrency_limits, *of_owners])

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Launch the run now or queue it; what is queued already is left to the daemon."""
        run = context.dagster_run
        if run.status == DagsterRunStatus.NOT_STARTED:
            run_id, goes_last = run.tags.get(RUN_ID_TAG), run.job_name == PROFILE_JOB_NAME
            with launching.deciding(context_of_process(), run_id, goes_last=goes_last) as is_due:
                if is_due and self._is_a_worker_free():
                    self._instance.launch_run(run.run_id, context.workspace)
                    return self._instance.get_run_by_id(run.run_id) or run
        return super().submit_run(context)

    def _is_a_worker_free(self) -> bool:
        workers = super().get_run_queue_config().max_concurrent_runs
        return workers < 0 or (
            self._instance.get_runs_count(RunsFilter(statuses=ACTIVE_RUN_STATUSES)) < workers
        )

    def cancel_run(self, run_id: str) -> bool:
        """Cancel the run in the catalog, so that nothing of it is published any more, and then in Dagster."""
        run = self._instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            with suppress(UnavailableError):  # a sensor does it later
                attempts.cancel(context_of_process(), run_id, run.tags.get(RUN_ID_TAG))
        return super().cancel_run(run_id)
