"""Use case: named rulesets: put versions, look at them, delete.

What belongs here: what an owner does with a ruleset. What does not: if rules are right (check.py), last uploads (uploads.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import reports as definitions
from reportgen_dagster.catalog import rulesets
from reportgen_dagster.catalog.tables import Ruleset, RulesetVersion
from reportgen_dagster.errors import ConflictError, NotFoundError
from reportgen_dagster.services import audit
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.fitting import Check, default_check
from reportgen_dagster.services.names import RESERVED, checked_name, deleted_name, may_exist, nearest_name
from reportgen_dagster.services.uploads import RulesText, as_rules_text


@dataclass(frozen=True, slots=True)
class RulesetVersionView:
    """One version of a ruleset; it never changes.

    Attributes:
        number: 1, 2, 3 ... within the ruleset.
        digest: SHA-256 of its text.
        rules: The text as it was put.
        title: What the rules call themselves; empty if they do not.
        created_at: When it came.
    """

    number: int
    digest: str
    rules: RulesText
    title: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RulesetView:
    """A ruleset as its owner sees it."""

    name: str
    latest: RulesetVersionView


def put_ruleset(
    context: Context, owner_id: str, name: str, rules: RulesText, *, check: Check | None = None
) -> RulesetVersionView:
    """Make rules the latest version of a ruleset, which is made if there is none; the same text again is no new version.

    Reports that follow the ruleset use it from their next run on.

    Raises:
        BadRequestError: If the name cannot be used.
        RulesError: With every problem of the rules.
        UnavailableError: If the database is away; nothing is accepted then.
    """
    plain = checked_name(name, "ruleset")
    facts = (check or default_check())(rules, None)
    with context.catalog.transaction() as session:
        version = rulesets.add_version(
            session,
            owner_id,
            plain,
            text=rules.text,
            syntax=rules.syntax,
            filename=rules.filename,
            summary=dict(facts.summary),
        )
        audit.note(session, "rules-changed", owner_id, f"ruleset/{plain}@{version.number}")
        return _version(version)


def list_rulesets(context: Context, owner_id: str) -> list[RulesetView]:
    """Return the caller's named rulesets in the order of their names."""
    with context.catalog.transaction() as session:
        rows = rulesets.with_latest(session, owner_id)
    return [
        RulesetView(ruleset.name, _version(latest))
        for ruleset, latest in rows
        if not RESERVED.fullmatch(ruleset.name)
    ]


def list_versions(context: Context, owner_id: str, name: str) -> list[RulesetVersionView]:
    """Return the versions of a ruleset of the caller's, the latest first.

    Raises:
        NotFoundError: If there is none of that name.
    """
    with context.catalog.transaction() as session:
        ruleset = find_own(session, owner_id, name)
        return [_version(version) for version in rulesets.versions(session, ruleset.id)]


def get_version(context: Context, owner_id: str, name: str, number: int | None = None) -> RulesetVersionView:
    """Return a version of a ruleset of the caller's; the latest without a number.

    Raises:
        NotFoundError: If there is no such ruleset or version.
    """
    with context.catalog.transaction() as session:
        return _version(find_version(session, find_own(session, owner_id, name), number))


def reports_by(context: Context, owner_id: str, name: str) -> list[str]:
    """Return the names of the reports that are made by a ruleset of the caller's.

    Raises:
        NotFoundError: If there is no such ruleset.
    """
    with context.catalog.transaction() as session:
        return definitions.using(session, ruleset_id=find_own(session, owner_id, name).id)


def delete_ruleset(context: Context, owner_id: str, name: str) -> None:
    """Delete a ruleset of the caller's. Runs keep the version that they were made by.

    Raises:
        NotFoundError: If there is none of that name.
        ConflictError: If reports are made by it.
    """
    with context.catalog.transaction() as session:
        ruleset = find_own(session, owner_id, name, lock=True)
        users = definitions.using(session, ruleset_id=ruleset.id)
        if users:
            raise ConflictError(
                f"Reports are made by the ruleset {name}: {', '.join(users)}.",
                hint="Delete these reports, or make them by another ruleset, first.",
            )
        rulesets.rename(session, ruleset.id, deleted_name(ruleset.id))
        audit.note(session, "ruleset-deleted", owner_id, f"ruleset/{name}")


def find_own(session: Session, owner_id: str, name: str, *, lock: bool = False) -> Ruleset:
    """Return a named ruleset of an owner; locked, nobody deletes it or makes a report by it meanwhile.

    Raises:
        NotFoundError: If there is none; with the nearest name that there is.
    """
    found = rulesets.find(session, owner_id, name, lock=lock) if may_exist(name) else None
    if found is None:
        known = [ruleset.name for ruleset, _ in rulesets.with_latest(session, owner_id)]
        hint = nearest_name(name, [one for one in known if not RESERVED.fullmatch(one)])
        raise NotFoundError(f"There is no ruleset {name}.", hint=hint)
    return found


def find_version(session: Session, ruleset: Ruleset, number: int | None) -> RulesetVersion:
    """Return a version of a ruleset; the latest without a number.

    Raises:
        NotFoundError: If there is no such version.
    """
    found = rulesets.version(session, ruleset.id, number)
    if found is None:
        last = rulesets.version(session, ruleset.id)
        known = f"; the latest is {last.number}" if last else ""
        raise NotFoundError(f"The ruleset {ruleset.name} has no version {number}{known}.")
    return found


def _version(version: RulesetVersion) -> RulesetVersionView:
    return RulesetVersionView(
        number=version.number,
        digest=version.digest,
        rules=as_rules_text(version),
        title=(version.summary or {}).get("title", ""),
        created_at=version.created_at,
    )
