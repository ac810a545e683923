"""Assembly of Dagster's definitions from the catalog. Nothing but assembly belongs here."""

from __future__ import annotations

from dagster import Definitions, in_process_executor, mem_io_manager

from reportgen_dagster.defs import scope
from reportgen_dagster.defs.assets import report_assets, source_specs
from reportgen_dagster.defs.jobs import generate_report
from reportgen_dagster.defs.keys import LOCATION, report_key
from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.defs.schedules import report_schedules
from reportgen_dagster.defs.sensors import (
    cancel_with_dagster,
    launch_accepted_runs,
    reap_lost_runs,
    report_published_runs,
)
from reportgen_dagster.defs.service import service
from reportgen_dagster.services import schedules
from reportgen_dagster.services.schedules import ReportDefinition
from reportgen_dagster.settings import Settings

RESOURCES = {"service": service, "io_manager": mem_io_manager}


def build_definitions(settings: Settings) -> Definitions:
    """Return the definitions of this process: all reports of the catalog, or what one run needs.

    Without a catalog (no DATABASE_URL) there are the fixed job and the sensors.
    """
    covered = scope.current().assets
    if covered is not None:
        reports = [report for report in _reports() if _key(report) in covered] if covered else []
        return Definitions(
            jobs=[generate_report],
            assets=report_assets(reports),
            executor=in_process_executor,
            resources=RESOURCES,
        )
    reports = _load_all() if settings.database_url else []
    return Definitions(
        jobs=[generate_report],
        assets=[*source_specs(reports), *report_assets(reports)],
        schedules=report_schedules(reports),
        sensors=[launch_accepted_runs, reap_lost_runs, report_published_runs, cancel_with_dagster],
        executor=in_process_executor,
        resources=RESOURCES,
    )


def _key(report: ReportDefinition) -> object:
    return report_key(report.owner_id, report.report_name)


def _reports() -> list[ReportDefinition]:
    return schedules.definitions(context_of_process())


def _load_all() -> list[ReportDefinition]:
    """Read every report, and note what was read so that a later change is noticed and reloaded."""
    fingerprint = schedules.definitions_fingerprint(context_of_process())
    reports = _reports()
    schedules.note_loaded(context_of_process(), LOCATION, fingerprint)
    return reports


defs = build_definitions(Settings())
