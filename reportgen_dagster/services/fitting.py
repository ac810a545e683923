"""Whether files, rules and parameters fit together before a run or a schedule is accepted: nothing missing, nothing unknown.

The judging itself is `services/check.py`, in a process of its own; here is what is asked and what follows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from reportgen_dagster.catalog import rulesets
from reportgen_dagster.contracts.models import Dialect
from reportgen_dagster.engine.headers import HEAD_BYTES, Header, read_header
from reportgen_dagster.errors import (
    FileRefusedError,
    MissingInputError,
    Problem,
    RulesError,
)
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.rules_facts import INPUT, RulesFacts
from reportgen_dagster.services.uploads import (
    DEFAULT,
    Judge,
    RulesText,
    as_rules_text,
    judge_plainly,
)

REFERENCE = "reference"
_LINES = Dialect.model_validate({"header": False, "delimiter": "\x1f", "quoteChar": ""})  # a line is one cell


class Check(Protocol):
    """Judges rules by themselves, or with the columns of each file and the parameters that were given."""

    def __call__(
        self,
        rules: RulesText,
        columns: Mapping[str, Sequence[str]] | None,
        parameters: Mapping[str, Any] | None = None,
    ) -> RulesFacts:
        """Return what the rules say of files.

        Raises:
            RulesError: With everything that is wrong with the rules.
            BadRequestError: If only the parameters are wrong.
        """


def judge_by_last_rules(context: Context, owner_id: str, check: Check | None = None) -> Judge:
    """Return what judges a file that becomes a last upload: if need be as the caller's last rules want it read."""

    def judge(head: bytes, role: str) -> Header:
        try:
            return judge_plainly(head, role)
        except FileRefusedError:
            with context.catalog.reading() as session:
                rules = rulesets.last_version(session, owner_id, DEFAULT)
            if rules is None:
                raise
            facts = (check or default_check())(as_rules_text(rules), None)
            if role not in facts.dialects:
                raise
            return facts.read_header(head, role)

    return judge


def judge_as_text(head: bytes, role: str) -> Header:
    """Judge a file that comes with rules, which may say how it is written: any text will do until they are known.

    Raises:
        FileRefusedError: If it is no text, or empty.
    """
    try:
        return judge_plainly(head, role)
    except FileRefusedError as refusal:
        try:
            return read_header(head, name=role, dialect=_LINES)
        except FileRefusedError:
            raise refusal from None


def judge_for_any_rules(notes: list[str]) -> Judge:
    """Return what judges a file that becomes a dataset: any text will do, for some rules may say how it is written.

    Args:
        notes: Takes why rules that do not say so cannot use the file.
    """

    def judge(head: bytes, role: str) -> Header:
        try:
            return judge_plainly(head, role)
        except FileRefusedError as refusal:
            header = judge_as_text(head, role)
            notes.append(f"only rules that say how this file is written can use it: {refusal.detail}")
            return header

    return judge


def files_to_take(
    context: Context,
    rules: RulesText | None,
    files: Mapping[str, str],
    *,
    sent: Collection[str],
    parameters: Mapping[str, Any] | None = None,
    check: Check | None = None,
) -> RulesFacts:
    """Return what the rules say of files; a run takes `input` and the references that they name (`files_named`).

    A last uploaded reference that they do not name is left out; one that was sent is a mistake.

    Args:
        context: The installation.
        rules: The rules, if there are any.
        files: The digest of each file that there is.
        sent: The files that came with the call.
        parameters: The parameters that were given.
        check: Judges rules, columns and parameters; default: `services.check.check_report`.

    Raises:
        MissingInputError: Naming everything that the report needs and nobody uploaded.
        RulesError: With everything that is wrong with the rules, also in view of the columns.
        FileRefusedError: If the header of a file cannot be used as the rules want it read.
        BadRequestError: With every parameter that is unknown, missing or not of its type.
        ServiceError: If a file is lost in storage, or the storage is away.
    """
    check = check or default_check()
    if rules is None:
        raise _missing([*({INPUT, REFERENCE} - set(files)), "rules"])
    try:
        facts = check(rules, None)
    except RulesError as error:
        _refuse_with_columns(context, error, rules, files, parameters, check)
        raise
    _refuse_unknown(facts, sent)
    needed = files_named(facts)
    missing = [name for name in needed if name not in files]
    if missing:
        raise _missing(missing)
    columns = {name: columns_of(context, facts, name, files[name]) for name in needed}
    check(rules, columns, dict(parameters or {}))
    return facts


def files_named(facts: RulesFacts) -> tuple[str, ...]:
    """Return the files that rules are about."""
    return (INPUT, *facts.references)


def _refuse_with_columns(
    context: Context,
    error: RulesError,
    rules: RulesText,
    files: Mapping[str, str],
    parameters: Mapping[str, Any] | None,
    check: Check,
) -> None:
    """Refuse rules that are wrong by themselves with what is wrong in view of the files, too; nothing if they cannot be read.

    Raises:
        RulesError: With everything that is wrong.
    """
    facts = error.facts.get("rules")
    if facts is None:
        return
    columns = {}
    for name in {INPUT, *facts.references} & files.keys():
        with suppress(FileRefusedError):
            columns[name] = columns_of(context, facts, name, files[name])
    check(rules, columns, parameters)


def columns_of(context: Context, facts: RulesFacts, name: str, digest: str) -> list[str]:
    """Return the columns of a stored file as the rules want it read.

    Raises:
        FileRefusedError: If its header cannot be used.
        LostFileError: If the file is gone from storage.
        UnavailableError: If the storage is away.
    """
    head = b"".join(context.store.chunks(digest, 0, HEAD_BYTES))
    return list(facts.read_header(head, name).columns)


def _refuse_unknown(facts: RulesFacts, sent: Collection[str]) -> None:
    known = ", ".join((INPUT, *facts.references))
    problems = [
        Problem(f"the rules name no file {name!r}; they name {known}", path=name)
        for name in sent
        if name not in (INPUT, *facts.references)
    ]
    if problems:
        raise RulesError(problems=problems)


def _missing(names: list[str]) -> MissingInputError:
    told = " and ".join(sorted(names))
    message = "neither sent nor uploaded before"
    problems = [Problem(message, path=name) for name in sorted(names)]
    return MissingInputError(f"{told}: {message}.", problems=problems)


def default_check() -> Check:
    """Return `services.check.check_report`."""
    from reportgen_dagster.services.check import (
        check_report,
    )  # it starts processes, which not everybody wants

    return check_report
