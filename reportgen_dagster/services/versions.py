"""Use case: versions of named datasets and rulesets that Dagster was not told of yet, and what a dataset's version holds.

What belongs here: finding them, profiling a file in a confined process (profile_child.py), noting that it was told. What does
not: how Dagster is told (`defs/versions.py`), adding versions (datasets.py, rulesets.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from reportgen_dagster.catalog import datasets, rulesets
from reportgen_dagster.engine.confined import ProcessLostError
from reportgen_dagster.errors import ReportgenError, ServiceError, UnavailableError
from reportgen_dagster.services.attempts import storable
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.generation import run_limits
from reportgen_dagster.services.publications import RulesVersion
from reportgen_dagster.storage.store import Stored

BATCH = 20  # files that one run of Dagster's looks at
RULESETS_AT_ONCE = 100
# Of the time that a run may take; after it no further file is begun, and the others wait for the next run.
BEGIN_WITHIN = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A version of a named dataset that Dagster was not told of.

    Attributes:
        id: Its id in the catalog.
        owner_id: Whose dataset.
        dataset_name: Which dataset.
        number: 1, 2, 3 ... within the dataset.
        digest: SHA-256 of its bytes.
        size_bytes: Its length as it came.
        filename: What the file was called.
        columns: The names in its header, as read when it came.
        profile: A `Profile`'s members, or `error` if the file cannot be read; None: nobody looked yet.
    """

    id: str
    owner_id: str
    dataset_name: str
    number: int
    digest: str
    size_bytes: int
    filename: str
    columns: list[str]
    profile: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class UnreportedRules:
    """A version of a named ruleset that Dagster was not told of.

    Attributes:
        id: Its id in the catalog.
        owner_id: Whose ruleset.
        ruleset_name: Which ruleset.
        version: What is to be told.
    """

    id: str
    owner_id: str
    ruleset_name: str
    version: RulesVersion


def unreported_files(context: Context) -> list[str]:
    """Return the ids of a batch of dataset versions that Dagster was not told of, the longest there first."""
    with context.catalog.reading() as session:
        return datasets.unreported(session, BATCH)


def files(context: Context, version_ids: Sequence[str]) -> list[FileVersion]:
    """Return those of these dataset versions that Dagster was not told of."""
    with context.catalog.reading() as session:
        return [
            FileVersion(
                id=version.id,
                owner_id=dataset.owner_id,
                dataset_name=dataset.name,
                number=version.number,
                digest=version.digest,
                size_bytes=version.size_bytes,
                filename=version.filename,
                columns=version.header,
                profile=version.profile,
            )
            for dataset, version in datasets.unreported_among(session, version_ids)
        ]


def unreported_rules(context: Context) -> list[UnreportedRules]:
    """Return ruleset versions that Dagster was not told of, the longest there first."""
    with context.catalog.reading() as session:
        return [
            UnreportedRules(version.id, ruleset.owner_id, ruleset.name, RulesVersion.of(version))
            for ruleset, version in rulesets.unreported(session, RULESETS_AT_ONCE)
        ]


def profiled(context: Context, version: FileVersion, work: Path, *, seconds: int) -> FileVersion:
    """Return a version with its profile, which is written to the catalog, as are its rows that cannot be read.

    A file that cannot be read as a whole has the reason instead.

    Args:
        context: The installation.
        version: Which version.
        work: A folder for copies of this file only.
        seconds: How long that may take.

    Raises:
        UnavailableError: If the catalog's database or the storage is away.
    """
    if version.profile is not None:
        return version
    limits = asdict(replace(run_limits(context.settings), seconds=seconds))
    request = {"columns": version.columns, "work": str(work), "limits": limits}
    profile: dict[str, Any] = storable(_profile(context, version.digest, request))
    rejects = _stored_rejects(context, work) if profile.get("unreadable_rows") else None
    with context.catalog.transaction() as session:
        datasets.put_profile(session, version.id, profile)
        if rejects is not None:
            datasets.put_rejects(session, version.id, rejects.digest, rejects.size_bytes)
    return replace(version, profile=profile)


def _stored_rejects(context: Context, work: Path) -> Stored:
    from reportgen_dagster.engine.profile import REJECTS_FILE  # as below

    return context.store.put_file(work / REJECTS_FILE)


def _profile(context: Context, digest: str, request: dict[str, Any]) -> dict[str, Any]:
    from reportgen_dagster.services import profile_child  # the code server imports this module, and no engine

    try:
        file = context.store.fetch(digest, Path(request["work"]))
        with profile_child.start({**request, "file": str(file)}) as process:
            (message,) = process.messages()
            profile: dict[str, Any] = message["profile"]
            return profile
    except UnavailableError:
        raise
    except ReportgenError as error:
        return {"error": error.to_json()}
    except (ProcessLostError, RuntimeError, OSError):
        _log.exception("a file could not be looked at")
        fault = ServiceError("The file could not be looked at for a reason that is ours to find.")
        return {"error": fault.to_json()}


def mark_file_reported(context: Context, version_id: str) -> None:
    """Write that Dagster has the materialization of a dataset's version."""
    with context.catalog.transaction() as session:
        datasets.mark_reported(session, [version_id])


def mark_rules_reported(context: Context, version_id: str) -> None:
    """Write that Dagster has the materialization of a ruleset's version."""
    with context.catalog.transaction() as session:
        rulesets.mark_reported(session, [version_id])
