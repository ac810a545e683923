"""The fixed job that makes every report. Only the accepted run's id is in its config."""

from __future__ import annotations

from dagster import RunRequest, in_process_executor, job, mem_io_manager

from reportgen_dagster.defs import ops
from reportgen_dagster.defs.keys import JOB_NAME
from reportgen_dagster.defs.service import service
from reportgen_dagster.services.launching import Launch


@job(
    name=JOB_NAME,
    description="Makes one report: an accepted run of the catalog, named by its id.",
    executor_def=in_process_executor,
    resource_defs={"service": service, "io_manager": mem_io_manager},
)
def generate_report() -> None:
    """Claim an accepted run and carry it out."""
    ops.publish(ops.transform(ops.validate(ops.ingest(ops.claim()))))


def run_config(run_id: str) -> dict[str, object]:
    """Return the config of `generate_report` for one accepted run."""
    return {"ops": {"claim": {"config": {"run_id": run_id}}}}


def run_request(launch: Launch, run_key: str) -> RunRequest:
    """Return the request for a Dagster run that carries out an accepted run."""
    return RunRequest(run_key=run_key, run_config=run_config(launch.run_id), tags=launch.tags)
