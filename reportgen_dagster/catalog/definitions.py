"""What Dagster's definitions are built from: one look at all named reports, datasets and rulesets, and a digest of it.

What belongs here: these queries, and what each code location loaded last. What does not: definitions (`defs/`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from reportgen_dagster.catalog.tables import LoadedDefinitions

# Last uploads (`default`, `default-input`) and the files of single calls (`run-<id>-input`) are no named things.
_NAMED = "name !~ '^(default|(run|deleted)-[0-9a-f]{32})(-|$)'"

_REPORTS = """
    SELECT r.id, r.owner_id, u.email AS owner_email, r.name, r.parameters, r.paused_at IS NOT NULL AS paused,
        r.on_new_data, r.fresh_within_seconds, s.name AS ruleset_name, v.number AS ruleset_version,
        r.ruleset_version_id IS NOT NULL AS is_pinned, v.digest AS ruleset_digest, v.text AS rules_text, v.syntax,
        v.summary,
        (SELECT coalesce(jsonb_object_agg(i.file, d.name), '{}') FROM report_inputs i
         JOIN datasets d ON d.id = i.dataset_id WHERE i.report_id = r.id) AS datasets,
        (SELECT coalesce(jsonb_agg(jsonb_build_object(
            'id', c.id, 'name', c.name, 'cron', c.cron, 'timezone', c.timezone, 'missed', c.missed,
            'unchanged', c.unchanged, 'paused', c.paused_at IS NOT NULL OR r.paused_at IS NOT NULL
         ) ORDER BY c.name), '[]') FROM schedules c WHERE c.report_id = r.id) AS schedules
    FROM reports r JOIN users u ON u.id = r.owner_id JOIN rulesets s ON s.id = r.ruleset_id
    JOIN LATERAL (
        SELECT * FROM ruleset_versions
        WHERE ruleset_id = r.ruleset_id AND (r.ruleset_version_id IS NULL OR id = r.ruleset_version_id)
        ORDER BY number DESC LIMIT 1
    ) AS v ON true
"""
_DATASETS = f"""
    SELECT d.id, d.owner_id, u.email AS owner_email, d.name, d.expected_cron, d.expected_timezone,
        d.expected_within_seconds
    FROM datasets d JOIN users u ON u.id = d.owner_id WHERE d.{_NAMED}
"""  # noqa: S608 - constants
_RULESETS = f"""
    SELECT s.id, s.owner_id, u.email AS owner_email, s.name, v.number AS version, v.text AS rules_text, v.syntax, v.summary
    FROM rulesets s JOIN users u ON u.id = s.owner_id
    JOIN LATERAL (SELECT * FROM ruleset_versions WHERE ruleset_id = s.id ORDER BY number DESC LIMIT 1) AS v ON true
    WHERE s.{_NAMED}
"""  # noqa: S608 - constants


def _digest(query: str) -> str:
    return f"SELECT md5(coalesce(string_agg(md5(part::text), '' ORDER BY id), '')) FROM ({query}) AS part"  # noqa: S608 - of constants


_PARTS = " || ".join(f"({_digest(query)})" for query in (_REPORTS, _DATASETS, _RULESETS))
_FINGERPRINT = text(f"SELECT encode(sha256(convert_to({_PARTS}, 'UTF8')), 'hex')")


def reports(session: Session) -> list[Row[Any]]:
    """Return every report with its rules as they are now, in a fixed order."""
    return list(session.execute(text(f"{_REPORTS} ORDER BY r.id")))


def datasets(session: Session) -> list[Row[Any]]:
    """Return every named dataset, in a fixed order."""
    return list(session.execute(text(f"{_DATASETS} ORDER BY d.id")))


def rulesets(session: Session) -> list[Row[Any]]:
    """Return every named ruleset with its latest version, in a fixed order."""
    return list(session.execute(text(f"{_RULESETS} ORDER BY s.id")))


def fingerprint(session: Session) -> str:
    """Return a digest over everything that definitions are built from; versions of files change no definition."""
    return str(session.scalar(_FINGERPRINT))


def note_loaded(session: Session, location: str, loaded: str) -> None:
    """Write what a code location built its definitions from."""
    _note(session, location, fingerprint=loaded, loaded_at=func.now(), problem=None)


def note_problem(session: Session, location: str, problem: str) -> None:
    """Write why a code location could not load its definitions."""
    session.execute(
        insert(LoadedDefinitions)
        .values(location=location, fingerprint="", problem=problem)
        .on_conflict_do_update(index_elements=["location"], set_={"problem": problem})
    )


def _note(session: Session, location: str, **values: Any) -> None:
    session.execute(
        insert(LoadedDefinitions)
        .values(location=location, **values)
        .on_conflict_do_update(index_elements=["location"], set_=values)
    )


def loaded(session: Session, location: str) -> LoadedDefinitions | None:
    """Return what a code location last built its definitions from, and what became of the last try."""
    return session.get(LoadedDefinitions, location)
