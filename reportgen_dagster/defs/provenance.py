"""By which rules and of which data a report was made, in the tags by which Dagster sees whether it is out of date.

What belongs here: the words of Dagster's own executor for that, from what the catalog knows of the run. The executor itself would
tell the versions from before the run, not those that the run read.
"""

from __future__ import annotations

from collections.abc import Mapping

from dagster import AssetKey, DagsterInstance
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from reportgen_dagster.defs.keys import code_version, dataset_key, ruleset_key
from reportgen_dagster.services.names import is_named
from reportgen_dagster.services.publications import Reportable


def made_of(published: Reportable, instance: DagsterInstance) -> dict[str, str]:
    """Return the tags; none for a report without a name, which has no definition to be compared with."""
    if not is_named(published.report_name):
        return {}
    versions = _read_versions(published)
    pointers = _event_pointers(instance, versions)
    return {
        CODE_VERSION_TAG: code_version(published.rules.digest),
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        **{get_input_data_version_tag(key): digest for key, digest in versions.items()},
        **{get_input_event_pointer_tag(key): pointers.get(key, NULL_EVENT_POINTER) for key in versions},
    }


def _read_versions(published: Reportable) -> dict[AssetKey, str]:
    """Return the data versions of ruleset and datasets that a run read; of two versions of one dataset the later."""
    files = sorted(published.files.values(), key=lambda file: file.version)
    datasets = {dataset_key(published.owner_id, file.dataset_name): file.digest for file in files}
    return datasets | {ruleset_key(published.owner_id, published.ruleset_name): published.rules.digest}


def _event_pointers(instance: DagsterInstance, versions: Mapping[AssetKey, str]) -> dict[AssetKey, str]:
    """Return the latest materialization of each asset whose latest one is the version that was read."""
    pointers = {}
    for record in instance.get_asset_records(list(versions)):
        latest = record.asset_entry.last_materialization_record
        told = latest.asset_materialization if latest else None
        key = record.asset_entry.asset_key
        if latest and told and (told.tags or {}).get(DATA_VERSION_TAG) == versions[key]:
            pointers[key] = str(latest.storage_id)
    return pointers
