"""The run launcher: hands a Dagster run to the Celery workers and judges its life by its lease in the catalog.

dagster-celery's own launcher believes Celery's result state, which stays STARTED for ever when a worker is killed. Here no
result is kept at all: the worker renews a lease (`services.attempts`), and who has none is dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from dagster import DagsterRun, Field, StringSource
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClassData, pack_value
from dagster_celery.config import TASK_EXECUTE_JOB_NAME
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tasks import create_execute_job_task

from reportgen_dagster.services import attempts
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings

QUEUE = "dagster"


class LeaseRunLauncher(CeleryRunLauncher):
    """Launches through Celery; a run lives as long as its lease does."""

    def __init__(self, broker: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Connect lazily: neither broker nor catalog is asked before the first run."""
        super().__init__(
            default_queue=QUEUE,
            broker=broker,
            config_source={"task_ignore_result": True},
            inst_data=inst_data,
        )

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        """Only the broker's address: results are not kept."""
        return {"broker": Field(StringSource, description="URL of the Celery broker.")}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> LeaseRunLauncher:
        """Build the launcher from dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    @cached_property
    def _context(self) -> Context:
        return Context.open(Settings())

    @property
    def supports_resume_run(self) -> bool:
        """Runs are not resumed: the reaper makes the accepted run start anew."""
        return False

    def launch_run(self, context: LaunchRunContext) -> None:
        """Send the run to the workers; the task's id is the run's, so that it can be revoked."""
        run = context.dagster_run
        origin = run.job_code_origin
        if origin is None:
            raise ValueError(f"run {run.run_id} has no job code origin")
        arguments = ExecuteRunArgs(
            job_origin=origin,
            run_id=run.run_id,
            instance_ref=self._instance.get_ref(),
            set_exit_code_on_failure=True,
        )
        task = create_execute_job_task(self.celery)
        task.si(execute_job_args_packed=pack_value(arguments)).apply_async(
            task_id=run.run_id, queue=QUEUE, routing_key=f"{QUEUE}.{TASK_EXECUTE_JOB_NAME}"
        )

    def terminate(self, run_id: str) -> bool:
        """Ask the worker to end the run; its supervisor sees by itself that it was cancelled, should the message be lost."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        self.celery.control.revoke(run_id, terminate=True, signal="SIGTERM")
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Judge by the lease: renewed in the last seconds by the database's clock, or dead."""
        if attempts.is_alive(self._context, run.run_id):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "The worker gives no sign of life any more.")

    # Celery's answer would need the results that are not kept.
    get_run_worker_debug_info = RunLauncher.get_run_worker_debug_info
