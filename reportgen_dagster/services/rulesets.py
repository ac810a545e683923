"""Use case: named rulesets: put versions, look at them, delete.

What belongs here: what an owner does with a ruleset. What does not: if rules are right (check.py), last uploads (uploads.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import accounts, rulesets
from reportgen_dagster.catalog import reports as definitions
from reportgen_dagster.catalog.tables import Ruleset, RulesetVersion
from reportgen_dagster.errors import ConflictError, NotFoundError
from reportgen_dagster.formats import Syntax
from reportgen_dagster.services import audit, cursors, quotas
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.fitting import Check, default_check
from reportgen_dagster.services.names import RESERVED, checked_name, deleted_name, may_exist, nearest_name
from reportgen_dagster.services.preconditions import WHATEVER, Precondition, fingerprint
from reportgen_dagster.services.rules_facts import RulesFacts
from reportgen_dagster.services.runs import pin_rules
from reportgen_dagster.services.uploads import RulesText, as_rules_text, as_syntax


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


@dataclass(frozen=True, slots=True)
class RulesetHead:
    """A version of a ruleset without its text, which may be long.

    Attributes:
        name: The ruleset.
        number: 1, 2, 3 ... within the ruleset.
        digest: SHA-256 of the text.
        syntax: `yaml` or `json`.
        filename: What the file was called.
        title: What the rules call themselves; empty if they do not.
        description: What they say of themselves; empty if they do not.
        created_at: When it came.
    """

    name: str
    number: int
    digest: str
    syntax: Syntax
    filename: str
    title: str
    description: str
    created_at: datetime

    @property
    def fingerprint(self) -> str:
        """What changes with any of it; of a ruleset's latest version also with each new one."""
        return fingerprint(self)


@dataclass(frozen=True, slots=True)
class PutRules:
    """What putting rules led to.

    Attributes:
        head: The latest version now.
        is_made: There was no ruleset of this name before.
    """

    head: RulesetHead
    is_made: bool


def put_rules(
    context: Context,
    owner_id: str,
    name: str,
    rules: RulesText,
    *,
    expected: Precondition = WHATEVER,
    check: Check | None = None,
) -> PutRules:
    """Make rules the latest version of a ruleset, as `put_ruleset`, unless it is not what was expected.

    Args:
        context: The installation.
        owner_id: Whose ruleset.
        name: What it is called.
        rules: The rules.
        expected: What the latest version must be before.
        check: Judges the rules; default: `services.check.check_report`.

    Raises:
        BadRequestError: If the name cannot be used.
        RulesError: With every problem of the rules.
        TooLargeError: If they are more bytes than the caller may store.
        PreconditionError: If it is not what was expected.
        UnavailableError: If the database is away; nothing is accepted then.
    """
    plain = checked_name(name, "ruleset")
    facts = (check or default_check())(rules, None)
    with context.catalog.transaction() as session:
        accounts.lock_definitions(session, owner_id)
        present = rulesets.find(session, owner_id, plain)
        expected.check(_latest(session, present).fingerprint if present else None)
        version = _noted_version(context, session, owner_id, plain, rules, facts)
        return PutRules(_head(plain, version), is_made=present is None)


def put_ruleset(
    context: Context, owner_id: str, name: str, rules: RulesText, *, check: Check | None = None
) -> RulesetVersionView:
    """Make rules the latest version of a ruleset, which is made if there is none; the same text again is no new version.

    Reports that follow the ruleset use it from their next run on.

    Raises:
        BadRequestError: If the name cannot be used.
        RulesError: With every problem of the rules.
        TooLargeError: If they are more bytes than the caller may store.
        UnavailableError: If the database is away; nothing is accepted then.
    """
    plain = checked_name(name, "ruleset")
    facts = (check or default_check())(rules, None)
    with context.catalog.transaction() as session:
        accounts.lock_definitions(session, owner_id)
        return _version(_noted_version(context, session, owner_id, plain, rules, facts))


def list_rulesets(context: Context, owner_id: str) -> list[RulesetView]:
    """Return the caller's named rulesets in the order of their names."""
    with context.catalog.reading() as session:
        rows = rulesets.with_latest(session, owner_id)
    return [
        RulesetView(ruleset.name, _version(latest))
        for ruleset, latest in rows
        if not RESERVED.fullmatch(ruleset.name)
    ]


def page_of_rulesets(
    context: Context, owner_id: str, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[RulesetHead], str | None]:
    """Return a page of the caller's rulesets at their latest version, by name, and the cursor of the next page.

    Args:
        context: The installation.
        owner_id: Who asks.
        limit: At most so many, from 1 to 500.
        cursor: Where the page begins, as the page before gave it.

    Raises:
        BadRequestError: If limit or cursor cannot be used.
    """
    cursors.check_limit(limit)
    after = cursors.decode_text(cursor) if cursor else None
    with context.catalog.reading() as session:
        rows, last = cursors.cut(rulesets.page(session, owner_id, after=after, limit=limit + 1), limit)
        heads = [_head(ruleset.name, version) for ruleset, version in rows]
    return heads, cursors.encode_text(last[0].name) if last else None


def page_of_versions(
    context: Context, owner_id: str, name: str, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[RulesetHead], str | None]:
    """Return a page of the versions of a ruleset of the caller's, the latest first, and the cursor of the next page.

    Args:
        context: The installation.
        owner_id: Who asks.
        name: Which ruleset.
        limit: At most so many, from 1 to 500.
        cursor: Where the page begins, as the page before gave it.

    Raises:
        BadRequestError: If limit or cursor cannot be used.
        NotFoundError: If there is none of that name.
    """
    cursors.check_limit(limit)
    before = cursors.decode_number(cursor) if cursor else None
    with context.catalog.reading() as session:
        ruleset = find_own(session, owner_id, name)
        found = rulesets.page_of_versions(session, ruleset.id, before=before, limit=limit + 1)
        page, last = cursors.cut([_head(name, version) for version in found], limit)
    return page, cursors.encode_text(str(last.number)) if last else None


def get_head(context: Context, owner_id: str, name: str, number: int | None = None) -> RulesetHead:
    """Return a version of a ruleset of the caller's without its text; the latest without a number.

    Raises:
        NotFoundError: If there is no such ruleset or version.
    """
    with context.catalog.reading() as session:
        return _head(name, find_version(session, find_own(session, owner_id, name), number))


def list_versions(context: Context, owner_id: str, name: str) -> list[RulesetVersionView]:
    """Return the versions of a ruleset of the caller's, the latest first.

    Raises:
        NotFoundError: If there is none of that name.
    """
    with context.catalog.reading() as session:
        ruleset = find_own(session, owner_id, name)
        return [_version(version) for version in rulesets.versions(session, ruleset.id)]


def get_version(context: Context, owner_id: str, name: str, number: int | None = None) -> RulesetVersionView:
    """Return a version of a ruleset of the caller's; the latest without a number.

    Raises:
        NotFoundError: If there is no such ruleset or version.
    """
    with context.catalog.reading() as session:
        return _version(find_version(session, find_own(session, owner_id, name), number))


def reports_by(context: Context, owner_id: str, name: str) -> list[str]:
    """Return the names of the reports that are made by a ruleset of the caller's.

    Raises:
        NotFoundError: If there is no such ruleset.
    """
    with context.catalog.reading() as session:
        return definitions.using(session, ruleset_id=find_own(session, owner_id, name).id)


def delete_ruleset(context: Context, owner_id: str, name: str, *, expected: Precondition = WHATEVER) -> None:
    """Delete a ruleset of the caller's. Runs keep the version that they were made by.

    Raises:
        NotFoundError: If there is none of that name.
        ConflictError: If reports are made by it.
        PreconditionError: If its latest version is not what was expected.
    """
    with context.catalog.transaction() as session:
        accounts.lock_definitions(session, owner_id)
        ruleset = find_own(session, owner_id, name, lock=True)
        expected.check(_latest(session, ruleset).fingerprint)
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


def _noted_version(
    context: Context, session: Session, owner_id: str, name: str, rules: RulesText, facts: RulesFacts
) -> RulesetVersion:
    version = pin_rules(session, owner_id, name, rules, facts)
    quotas.check_added(context, session, owner_id)
    audit.note(session, "rules-changed", owner_id, f"ruleset/{name}@{version.number}")
    return version


def _latest(session: Session, ruleset: Ruleset) -> RulesetHead:
    return _head(ruleset.name, find_version(session, ruleset, None))


def _head(name: str, version: RulesetVersion) -> RulesetHead:
    summary = version.summary or {}
    return RulesetHead(
        name=name,
        number=version.number,
        digest=version.digest,
        syntax=as_syntax(version.syntax),
        filename=version.filename,
        title=summary.get("title", ""),
        description=summary.get("description", ""),
        created_at=version.created_at,
    )


def _version(version: RulesetVersion) -> RulesetVersionView:
    return RulesetVersionView(
        number=version.number,
        digest=version.digest,
        rules=as_rules_text(version),
        title=(version.summary or {}).get("title", ""),
        created_at=version.created_at,
    )
