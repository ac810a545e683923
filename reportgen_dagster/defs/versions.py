"""Each version of a named dataset and ruleset as a materialization: the sensor that finds them, the job that profiles files.

What belongs here: telling Dagster of a version once. What does not: looking into files (`services/versions.py`), what a run tells
of what it read (events.py). Rules need no looking into, so the sensor tells of them itself, without a run.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dagster import (
    AssetMaterialization,
    AssetObservation,
    Config,
    DagsterInstance,
    DefaultSensorStatus,
    OpExecutionContext,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SkipReason,
    in_process_executor,
    job,
    mem_io_manager,
    op,
    sensor,
)
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from reportgen_dagster.defs.events import (
    VERSION_TAG,
    is_told,
    ruleset_materialization,
)
from reportgen_dagster.defs.failures import failure
from reportgen_dagster.defs.keys import PROFILE_JOB_NAME, dataset_key, ruleset_key
from reportgen_dagster.defs.process import context_of_process
from reportgen_dagster.defs.profiles import profile_metadata
from reportgen_dagster.defs.service import Service, service
from reportgen_dagster.errors import UnavailableError
from reportgen_dagster.identity import digest_text, utc_now
from reportgen_dagster.services import versions
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.launching import PRIORITY_TAG, ROUNDS
from reportgen_dagster.services.versions import FileVersion

INTERVAL_SECONDS = 5
LONGEST_WAIT_SECONDS = 600
LAST = {PRIORITY_TAG: str(-1000 * ROUNDS)}  # reports that wait go first, whatever their owner's priority


class ProfileConfig(Config):
    """Which versions of datasets a run looks at."""

    version_ids: list[str]


@op(required_resource_keys={"service"})
def profile(context: OpExecutionContext, config: ProfileConfig) -> None:
    """Look at each file that Dagster was not told of yet, and tell it; one that cannot be read is told with the reason."""
    opened: Service = context.resources.service
    seconds, begun = opened.context.settings.time_limit_seconds, time.monotonic()
    try:
        waiting = versions.files(opened.context, config.version_ids)
        for place, version in enumerate(waiting):
            taken = time.monotonic() - begun
            if place and taken > seconds * versions.BEGIN_WITHIN:
                context.log.info(f"{len(waiting) - place} files are left to the next run.")
                return
            with tempfile.TemporaryDirectory(dir=opened.work) as work:
                left = max(1, int(seconds - taken))
                _tell(context, versions.profiled(opened.context, version, Path(work), seconds=left))
            versions.mark_file_reported(opened.context, version.id)
    except UnavailableError as error:
        raise failure(error) from error


@job(
    name=PROFILE_JOB_NAME,
    description="Looks at new versions of named datasets and tells their rows, columns and first rows.",
    executor_def=in_process_executor,
    resource_defs={"service": service, "io_manager": mem_io_manager},
)
def profile_datasets() -> None:
    """Profile files and tell Dagster of them."""
    profile()


def _tell(context: OpExecutionContext, version: FileVersion) -> None:
    """Log the version's materialization; an observation, if a run that read it was faster."""
    key = dataset_key(version.owner_id, version.dataset_name)
    known = is_told(context.instance, key, version.number)
    kind = AssetObservation if known else AssetMaterialization
    found = version.profile or {}
    context.log_event(
        kind(
            key,
            description=f"Version {version.number} of {version.dataset_name} ({version.filename})",
            metadata={
                **profile_metadata(found, version.columns),
                "version": version.number,
                "file name": version.filename,
                "size in bytes": version.size_bytes,
                "sha256": version.digest,
            },
            tags={DATA_VERSION_TAG: version.digest, VERSION_TAG: str(version.number)},
        )
    )
    told = f"cannot be read: {found['error']['detail']}" if "error" in found else f"{found['rows']:,} rows"
    context.log.info(f"version {version.number} of {version.dataset_name}: {told}")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the sensor remembers: its last batch, how often in a row it asked for it, and when; how often it asked at all."""

    batch: str = ""
    tries: int = 0
    at: float = 0.0
    count: int = 0

    def waits(self, batch: str, now: float) -> bool:
        """Tell whether it is too early to ask again for a batch whose last runs led to nothing; not where the clock went back."""
        wait = min(INTERVAL_SECONDS * 2**self.tries, LONGEST_WAIT_SECONDS)
        return batch == self.batch and 0 <= now - self.at < wait

    def again(self, batch: str, now: float) -> "_Asked":
        """Return what to remember when a batch is asked for."""
        return _Asked(batch, self.tries + 1 if batch == self.batch else 1, now, self.count + 1)


@sensor(
    job=profile_datasets,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Tells of each new version of a named ruleset, and starts the run that looks at new versions of named datasets.",
)
def report_new_versions(context: SensorEvaluationContext) -> Iterator[RunRequest | SkipReason]:
    """Tell of rules at once; of files ask for one run at a time, with a batch of them."""
    catalog = context_of_process()
    told = _tell_rules(catalog, context.instance)
    waiting = versions.unreported_files(catalog)
    words = f"Told of {told} versions of rulesets. " if told else ""
    if not waiting:
        yield SkipReason(words or "Every version of a named dataset or ruleset is told of.")
        return
    if context.instance.get_runs_count(RunsFilter(job_name=PROFILE_JOB_NAME, statuses=NOT_FINISHED_STATUSES)):
        yield SkipReason(f"{words}Files are being looked at; others wait for the next run.")
        return
    last = _Asked(**json.loads(context.cursor)) if context.cursor else _Asked()
    batch, now = digest_text(" ".join(waiting)), utc_now().timestamp()
    if last.waits(batch, now):
        yield SkipReason(f"{words}The last run could not look at these files; they are tried again later.")
        return
    asked = last.again(batch, now)
    context.update_cursor(json.dumps(asdict(asked)))
    yield profile_request(waiting, run_key=f"{asked.count}-{batch}")


def profile_request(version_ids: Sequence[str], *, run_key: str) -> RunRequest:
    """Return the request for a run that looks at versions of datasets."""
    return RunRequest(
        run_key=run_key,
        run_config={"ops": {"profile": {"config": {"version_ids": list(version_ids)}}}},
        tags=LAST,
    )


def _tell_rules(catalog: Context, instance: DagsterInstance) -> int:
    waiting = versions.unreported_rules(catalog)
    for rules in waiting:
        key = ruleset_key(rules.owner_id, rules.ruleset_name)
        if not is_told(instance, key, rules.version.number):
            event = ruleset_materialization(key, rules.ruleset_name, rules.version)
            instance.report_runless_asset_event(event)
        versions.mark_rules_reported(catalog, rules.id)
    return len(waiting)
