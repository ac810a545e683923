"""The Celery worker: a warm process that forks a fresh one for each Dagster run.

Heavy modules are imported here once, before any fork, and those that start threads are never used here: they do not survive a
fork. Definitions are imported by the forked process, so they are those of the moment. Started as
`celery -A reportgen_dagster.defs.worker worker`.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import logging
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import unpack_value
from dagster_celery.config import TASK_EXECUTE_JOB_NAME

from reportgen_dagster import logs
from reportgen_dagster.defs.attempt_process import run_in_fresh_process
from reportgen_dagster.engine.sandbox import missing_bounds
from reportgen_dagster.rules.compiling.compile import compile_ruleset
from reportgen_dagster.rules.compiling.kinds import ColumnKind
from reportgen_dagster.rules.compiling.plan import TableShape
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.services.recipes import engine_versions
from reportgen_dagster.settings import Settings

PRELOADED = (
    "dagster._core.execution.api",
    "dagster._core.execution.plan.execute_plan",
    "dagster._core.executor.in_process",
    "dagster._core.storage.mem_io_manager",
    "dagster_postgres",
    "duckdb",
    "numpy",
    "pandas",
    "pandera.backends.pandas.container",
    "pandera.backends.pandas.register",
    "pandera.pandas",
    "polars",
    "pyarrow",
    "pyarrow.compute",
    "pyarrow.pandas_compat",
    "tabulate",
    "reportgen_dagster.contracts.validation",
    "reportgen_dagster.defs.assets",
    "reportgen_dagster.defs.jobs",
    "reportgen_dagster.defs.pooled_storage",
    "reportgen_dagster.defs.schedules",
    "reportgen_dagster.defs.sensors",
    "reportgen_dagster.defs.versions",
    "reportgen_dagster.engine.profile",
    "reportgen_dagster.engine.report",
    "reportgen_dagster.engine.transform",
    "reportgen_dagster.services.profile_child",
    "reportgen_dagster.services.report_child",
)


def _broker_url() -> str:
    secret = Settings().broker_url
    if secret is None:
        raise ValueError("REPORTGEN_BROKER_URL is not set; `reportgen up` sets it for what it starts")
    return secret.get_secret_value()


def _warm_up() -> None:
    """Import what runs need, compile a small ruleset, look versions up: what is cached here, each forked process has."""
    for module in PRELOADED:
        importlib.import_module(module)
    ruleset = load_ruleset("- {output: total, formula: 'max(a, b) + c'}")
    number = ColumnKind("number", 1.0, "number")
    compile_ruleset(
        ruleset,
        input=TableShape("input", ("key", "a", "b"), {"a": number, "b": number}),
        references={"reference": TableShape("reference", ("key", "c"), {"c": number})},
    )
    engine_versions()
    gc.freeze()  # what is here now stays shared with the forked processes
    atexit.register(gc.unfreeze)  # else DuckDB's binding tells of leaks at the end


def _tell_missing_bounds() -> None:
    for missing in missing_bounds():
        logging.getLogger(__name__).warning("runs are less isolated: this kernel has no %s", missing)


_warm_up()

app = Celery("reportgen", broker=_broker_url())
app.conf.update(
    accept_content=["json"],
    broker_connection_retry_on_startup=True,
    task_default_queue="dagster",
    task_ignore_result=True,
    task_serializer="json",
    worker_hijack_root_logger=False,
    # Early acknowledgement and no prefetch: what a dead worker held is launched anew by the catalog, never redelivered.
    worker_prefetch_multiplier=1,
    worker_redirect_stdouts=False,
)


@setup_logging.connect
def _log_as_told(**_what_celery_would: object) -> None:
    """Give every line of this process our form, instead of Celery's."""
    settings = Settings()
    secrets = settings.secret_values()
    logs.configure(settings.log_format, settings.log_level, secrets=secrets, loggers=("",))
    _tell_missing_bounds()


@app.task(name=TASK_EXECUTE_JOB_NAME)
def execute_run(execute_job_args_packed: Any) -> None:
    """Carry out one Dagster run in a process of its own.

    Args:
        execute_job_args_packed: Dagster's packed `ExecuteRunArgs`; only the run's id is used.
    """
    arguments = unpack_value(execute_job_args_packed, as_type=ExecuteRunArgs)
    run_in_fresh_process(arguments.run_id)
