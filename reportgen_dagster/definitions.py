"""Assembly of Dagster's definitions from the catalog. Nothing but assembly belongs here."""

from __future__ import annotations

from collections.abc import Collection

from dagster import AssetKey, Definitions, in_process_executor, mem_io_manager

from reportgen_dagster import logs
from reportgen_dagster.defs import scope
from reportgen_dagster.defs.assets import dataset_specs, part_reports, report_assets, ruleset_specs
from reportgen_dagster.defs.clocks import clock_checks, watch_clocks
from reportgen_dagster.defs.deliveries import send_deliveries
from reportgen_dagster.defs.inbox import watch_inbox
from reportgen_dagster.defs.jobs import generate_report
from reportgen_dagster.defs.keys import dataset_key, report_key
from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.defs.retention import remove_old_files
from reportgen_dagster.defs.schedules import report_schedules
from reportgen_dagster.defs.sensors import (
    cancel_with_dagster,
    launch_accepted_runs,
    reap_lost_runs,
    report_published_runs,
    run_on_new_data,
    take_over_switches,
)
from reportgen_dagster.defs.service import service
from reportgen_dagster.defs.versions import profile_datasets, report_new_versions
from reportgen_dagster.identity import location_name
from reportgen_dagster.services import definitions as catalog
from reportgen_dagster.services.definitions import DatasetDefinition, Everything, ReportDefinition
from reportgen_dagster.settings import Settings

RESOURCES = {"service": service, "io_manager": mem_io_manager}
SENSORS = (
    launch_accepted_runs,
    reap_lost_runs,
    report_published_runs,
    cancel_with_dagster,
    run_on_new_data,
    take_over_switches,
    remove_old_files,
    watch_inbox,
    report_new_versions,
    watch_clocks,
    send_deliveries,
)


def build_definitions(settings: Settings) -> Definitions:
    """Return the definitions of this process: its shard of all that the catalog names, or what one run needs.

    Each shard has the fixed job; the sensors, which look after all shards, are in the first. Without a catalog
    (no DATABASE_URL) there is nothing else.
    """
    covered = scope.current().assets
    if covered is not None:
        sound, _ = part_reports(_covered_reports(covered) if covered else ())
        datasets = _covered_datasets(covered) if covered else ()
        return Definitions(
            jobs=[generate_report, profile_datasets],
            assets=[*dataset_specs(datasets), *report_assets(sound)],
            asset_checks=clock_checks([one.report for one in sound], datasets),
            executor=in_process_executor,
            resources=RESOURCES,
        )
    known = _load_all(settings) if settings.database_url else Everything()
    location_page = f"{settings.dagster_path}/locations/{location_name(settings.shard)}"
    sound, broken = part_reports(known.reports, location_page)
    return Definitions(
        jobs=[generate_report, profile_datasets],
        assets=[
            *dataset_specs(known.datasets),
            *ruleset_specs(known.rulesets),
            *report_assets(sound),
            *broken,
        ],
        asset_checks=clock_checks([one.report for one in sound], known.datasets),
        schedules=report_schedules(known.reports),
        sensors=SENSORS if settings.shard == 0 else (),
        executor=in_process_executor,
        resources=RESOURCES,
    )


def _covered_reports(keys: Collection[AssetKey]) -> tuple[ReportDefinition, ...]:
    """Read the reports with these asset keys, of whichever shards."""
    owner_ids = {key.path[0] for key in keys}
    return catalog.some_reports(
        context_of_process(), owner_ids, lambda owner_id, name: report_key(owner_id, name) in keys
    )


def _covered_datasets(keys: Collection[AssetKey]) -> tuple[DatasetDefinition, ...]:
    """Read the datasets with these asset keys, whose checks a run is for."""
    owner_ids = {key.path[0] for key in keys}
    found = catalog.datasets_of(context_of_process(), owner_ids)
    return tuple(one for one in found if dataset_key(one.owner_id, one.name) in keys)


def _load_all(settings: Settings) -> Everything:
    """Read everything of a shard, and note what was read so that a later change is noticed and reloaded."""
    known = catalog.everything(context_of_process(), settings.shard, settings.shards)
    catalog.note_loaded(context_of_process(), location_name(settings.shard), known.fingerprint)
    return known


def _log_as_told(settings: Settings) -> None:
    """Give our lines of a code server our form; in the process of a run the worker has done so."""
    if scope.current().assets is None:
        logs.configure(settings.log_format, settings.log_level, secrets=settings.secret_values())


_log_as_told(Settings())
defs = build_definitions(Settings())
