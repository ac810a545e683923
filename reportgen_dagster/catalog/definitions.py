"""What Dagster's definitions are built from: one look at named reports, datasets and rulesets, and digests of it.

What belongs here: these queries, how things are dealt out to code locations, and what each location loaded last. What does not:
definitions (`defs/`), when a location is reloaded (`services/definitions.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.named import NAMED
from reportgen_dagster.catalog.tables import LoadedDefinitions, Report


def shard_of(column: str) -> str:
    """Return the SQL for the shard, of :shards, that the thing with this id falls to.

    Ids are random hex digits, so their last ones deal things out evenly. A report's schedules are where the report is.
    """
    return f"mod(('x' || right({column}, 7))::bit(28)::int, :shards)"


_REPORTS = """
    SELECT r.id, r.owner_id, u.email AS owner_email, r.name, r.parameters, r.formats, r.paused_at IS NOT NULL AS paused,
        r.on_new_data, r.fresh_within_seconds, jsonb_array_length(r.deliveries) > 0 AS delivers,
        s.name AS ruleset_name, v.number AS ruleset_version,
        r.ruleset_version_id IS NOT NULL AS is_pinned, v.digest AS ruleset_digest, {rules}, v.syntax,
        coalesce(i.datasets, '{{}}') AS datasets, coalesce(c.schedules, '[]') AS schedules
    FROM reports r JOIN users u ON u.id = r.owner_id JOIN rulesets s ON s.id = r.ruleset_id
    JOIN ruleset_versions v ON v.ruleset_id = r.ruleset_id AND (
        v.id = r.ruleset_version_id
        OR r.ruleset_version_id IS NULL
        AND v.number = (SELECT max(number) FROM ruleset_versions WHERE ruleset_id = r.ruleset_id)
    )
    LEFT JOIN (
        SELECT i.report_id, jsonb_object_agg(i.file, d.name) AS datasets
        FROM report_inputs i JOIN datasets d ON d.id = i.dataset_id GROUP BY i.report_id
    ) AS i ON i.report_id = r.id
    LEFT JOIN (
        SELECT c.report_id, jsonb_agg(jsonb_build_object(
            'id', c.id, 'name', c.name, 'cron', c.cron, 'timezone', c.timezone, 'missed', c.missed,
            'unchanged', c.unchanged, 'paused', c.paused_at IS NOT NULL OR r.paused_at IS NOT NULL
        ) ORDER BY c.name) AS schedules
        FROM schedules c JOIN reports r ON r.id = c.report_id GROUP BY c.report_id
    ) AS c ON c.report_id = r.id
"""
_DATASETS = f"""
    SELECT d.id, d.owner_id, u.email AS owner_email, d.name, d.expected_cron, d.expected_timezone,
        d.expected_within_seconds
    FROM datasets d JOIN users u ON u.id = d.owner_id WHERE d.{NAMED}
"""  # noqa: S608 - constants
_RULESETS = """
    SELECT s.id, s.owner_id, u.email AS owner_email, s.name, v.number AS version, {rules}, v.syntax
    FROM rulesets s JOIN users u ON u.id = s.owner_id JOIN ruleset_versions v ON v.ruleset_id = s.id
    WHERE s.{named} AND v.number = (SELECT max(number) FROM ruleset_versions WHERE ruleset_id = s.id)
"""
_WHOLE_RULES = "v.text AS rules_text, v.summary"
_DIGESTED_RULES = "v.digest AS rules_digest, v.summary IS NULL AS has_no_summary"  # a version never changes


def _part(kind: str, query: str) -> str:
    return f"SELECT '{kind}' AS kind, id, md5(part::text) AS digest FROM ({query}) AS part"  # noqa: S608 - of constants


_PARTS = " UNION ALL ".join(
    _part(kind, query)
    for kind, query in (
        ("report", _REPORTS.format(rules=_DIGESTED_RULES)),
        ("dataset", _DATASETS),
        ("ruleset", _RULESETS.format(rules=_DIGESTED_RULES, named=NAMED)),
    )
)
_FINGERPRINTS = text(
    f"""
    SELECT {shard_of("id")} AS shard,
        encode(sha256(convert_to(string_agg(digest, '' ORDER BY kind, id), 'UTF8')), 'hex')
    FROM ({_PARTS}) AS parts GROUP BY shard
    """  # noqa: S608 - constants
)
NOTHING = "-"  # the fingerprint of a shard to which nothing falls


def reports(session: Session, shard: int, shards: int) -> list[Row[Any]]:
    """Return the reports of a shard with their rules as they are now, in a fixed order."""
    return _of_shard(session, _REPORTS.format(rules=_WHOLE_RULES), shard, shards)


def datasets(session: Session, shard: int, shards: int) -> list[Row[Any]]:
    """Return the named datasets of a shard, in a fixed order."""
    return _of_shard(session, _DATASETS, shard, shards)


def rulesets(session: Session, shard: int, shards: int) -> list[Row[Any]]:
    """Return the named rulesets of a shard with their latest versions, in a fixed order."""
    return _of_shard(session, _RULESETS.format(rules=_WHOLE_RULES, named=NAMED), shard, shards)


def _of_shard(session: Session, query: str, shard: int, shards: int) -> list[Row[Any]]:
    wanted = f"SELECT * FROM ({query}) AS part WHERE {shard_of('id')} = :shard ORDER BY id"  # noqa: S608 - constants
    return list(session.execute(text(wanted), {"shard": shard, "shards": shards}))


def reports_by_id(session: Session, ids: Collection[str]) -> list[Row[Any]]:
    """Return some reports, of whichever shard, in a fixed order."""
    wanted = f"SELECT * FROM ({_REPORTS.format(rules=_WHOLE_RULES)}) AS part WHERE id = ANY(:ids) ORDER BY id"  # noqa: S608 - constants
    return list(session.execute(text(wanted), {"ids": list(ids)}))


def names_of_reports(session: Session, owner_ids: Collection[str]) -> list[tuple[str, str, str]]:
    """Return id, owner and name of each report of some owners."""
    statement = select(Report.id, Report.owner_id, Report.name).where(Report.owner_id.in_(owner_ids))
    return [(id_, owner_id, name) for id_, owner_id, name in session.execute(statement)]


def datasets_of(session: Session, owner_ids: Collection[str]) -> list[Row[Any]]:
    """Return the named datasets of some owners, of whichever shard, in a fixed order."""
    wanted = f"SELECT * FROM ({_DATASETS}) AS part WHERE owner_id = ANY(:owner_ids) ORDER BY id"  # noqa: S608 - constants
    return list(session.execute(text(wanted), {"owner_ids": list(owner_ids)}))


def fingerprints(session: Session, shards: int) -> list[str]:
    """Return for each shard a digest over all that its definitions are built from; versions of files change none."""
    found: dict[int, str] = dict(session.execute(_FINGERPRINTS, {"shards": shards}).all())
    return [found.get(shard, NOTHING) for shard in range(shards)]


def note_loaded(session: Session, location: str, loaded: str) -> None:
    """Write what a code location built its definitions from."""
    _note(session, location, fingerprint=loaded, loaded_at=func.now(), problem=None)


def note_reloaded(session: Session, location: str, seconds: float, problem: str | None) -> None:
    """Write that a reload of a code location ended just now, how long it took, and why it failed if it did."""
    _note(session, location, reloaded_at=func.clock_timestamp(), reload_seconds=seconds, problem=problem)


def _note(session: Session, location: str, **values: Any) -> None:
    session.execute(
        insert(LoadedDefinitions)
        .values({"location": location, "fingerprint": "", **values})
        .on_conflict_do_update(index_elements=["location"], set_=values)
    )


def loaded(session: Session, location: str) -> LoadedDefinitions | None:
    """Return what a code location last built its definitions from, and what became of the last try."""
    return session.get(LoadedDefinitions, location)


def is_resting(session: Session, location: str, least_seconds: float) -> bool:
    """Tell whether a location was reloaded less than `least_seconds` ago, or less than that reload took."""
    pause = func.make_interval(
        0, 0, 0, 0, 0, 0, func.greatest(LoadedDefinitions.reload_seconds, least_seconds)
    )
    resting = LoadedDefinitions.reloaded_at + pause > func.clock_timestamp()
    return bool(session.scalar(select(resting).where(LoadedDefinitions.location == location)))
