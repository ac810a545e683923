"""Which runs are launched at once, and which are queued for the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from dagster import DagsterInstance, DagsterRunStatus, JobDefinition, RunRequest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.test_utils import instance_for_test
from dagster._core.workspace.context import BaseWorkspaceRequestContext

from reportgen_dagster.defs.jobs import generate_report, run_request
from reportgen_dagster.defs.versions import profile_datasets, profile_request
from reportgen_dagster.services import attempts, launching
from tests.definitions.conftest import Ann

WORKERS = 2
COORDINATOR = {
    "module": "reportgen_dagster.defs.coordinator",
    "class": "HybridRunCoordinator",
    "config": {"max_concurrent_runs": WORKERS},
}
LAUNCHER = {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}
LOCATION = RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("localhost", 1), "__repository__")
NO_WORKSPACE = cast("BaseWorkspaceRequestContext", None)  # the launcher of these tests does not look at it


@pytest.fixture
def coordinated() -> Iterator[DagsterInstance]:
    """An instance with our coordinator, whose launched runs only begin: nobody works here."""
    with instance_for_test({"run_coordinator": COORDINATOR, "run_launcher": LAUNCHER}) as instance:
        yield instance


def submit(instance: DagsterInstance, job: JobDefinition, request: RunRequest) -> DagsterRunStatus:
    run = instance.create_run_for_job(
        job,
        run_config=request.run_config,
        tags=request.tags,
        remote_job_origin=RemoteJobOrigin(LOCATION, job.name),
    )
    return instance.run_coordinator.submit_run(SubmitRunContext(run, NO_WORKSPACE)).status


def test_files_are_looked_at_only_when_no_accepted_run_waits(ann: Ann, coordinated: DagsterInstance) -> None:
    look = profile_request([], run_key="")
    run_id = ann.accept()
    assert submit(coordinated, profile_datasets, look) == DagsterRunStatus.QUEUED
    launch = launching.launch_of(ann.context, run_id)
    assert launch is not None
    assert submit(coordinated, generate_report, run_request(launch, run_key="")) == DagsterRunStatus.STARTING
    assert attempts.begin(ann.context, "d", "here:1")
    assert attempts.claim(ann.context, run_id, "d")
    assert submit(coordinated, profile_datasets, look) == DagsterRunStatus.STARTING, "nobody waits"
    assert submit(coordinated, profile_datasets, look) == DagsterRunStatus.QUEUED, "no worker is free"
