"""What a command is asked: rules and what is given for them, with everything that is wrong with it told at once.

What belongs here: which files are looked at and how far, putting together what is wrong. What does not: printing, the plan.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reportgen_dagster.cli.output import given_files, read_parameters, read_rules
from reportgen_dagster.errors import (
    BadDataError,
    BadRequestError,
    MissingInputError,
    Problem,
    ReportgenError,
    RulesError,
)

if TYPE_CHECKING:
    from reportgen_dagster.rules.compiling.kinds import ColumnKind
    from reportgen_dagster.rules.compiling.plan import Plan
    from reportgen_dagster.rules.reading.ruleset import Ruleset


SOON_SURVEYED_BYTES = 32_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command is asked.

    Attributes:
        ruleset: The rules, sound or not.
        files: The files that are given, by the names that rules have for them.
        parameters: Values in the types that the rules declare; None if none are given.
        run_date: What `today()` is.
        mistakes: What is wrong with what is given beside the rules.
    """

    ruleset: Ruleset
    files: Mapping[str, Path]
    parameters: Mapping[str, Any] | None
    run_date: date
    mistakes: tuple[BadRequestError, ...] = ()

    def plan(self) -> Plan:
        """Return the plan of the rules, with the types of every row of the files.

        Large files are not read where there are problems without their types; those that types show are told the next time.

        Raises:
            RulesError: With every problem of the rules; what else is wrong stands behind them.
            BadRequestError: If only what is given beside them is wrong.
            BadDataError: If only a file is, which cannot be read.
        """
        from reportgen_dagster.services.rules_problems import plan_problems

        wrong: list[ReportgenError] = [*self.mistakes]
        columns = self._headers(wrong)
        if not self._is_soon_surveyed(columns):
            _tell(plan_problems(self._dry_plan(columns, {})), wrong)
        plan = self._dry_plan(columns, self._surveyed(columns, wrong))
        _tell(plan_problems(plan), wrong)
        return plan

    def settled(self, plan: Plan) -> Plan:
        """Return the plan with the columns that pivots make of the files' rows, as far as they are given and tell them."""
        from reportgen_dagster.engine.ingest import Request
        from reportgen_dagster.engine.limits import Limits
        from reportgen_dagster.engine.settling import settled_plan

        if plan.pivot is None or not {"input", *self.ruleset.reference_names} <= self.files.keys():
            return plan
        try:
            values = self.parameters or read_parameters(self.ruleset, None)
            request = Request(self.ruleset, self.files, values, self.run_date)
            with tempfile.TemporaryDirectory(prefix="reportgen-") as folder:
                return settled_plan(request, work=Path(folder), limits=Limits())
        except (BadDataError, BadRequestError):  # a run tells what is wrong with the rows
            return plan

    @contextmanager
    def told_by_file_names(self) -> Iterator[None]:
        """Make errors tell of the files by the names that their user knows."""
        try:
            yield
        except ReportgenError as error:
            error.name_sources({name: path.name for name, path in self.files.items()})
            raise

    @contextmanager
    def carried_out(self) -> Iterator[None]:
        """Make errors of a run tell what a check does: all that is wrong with the rules, whatever the run came upon first."""
        with self.told_by_file_names():
            try:
                yield
            except (RulesError, MissingInputError) as error:
                replace(self, mistakes=(error,) if isinstance(error, MissingInputError) else ()).plan()
                raise

    def _headers(self, wrong: list[ReportgenError]) -> dict[str, tuple[str, ...]]:
        """Return the columns of each file, read as the rules want it, as far as they say so."""
        from reportgen_dagster.engine.headers import HEAD_BYTES
        from reportgen_dagster.rules.reading.ruleset import file_path
        from reportgen_dagster.services.rules_facts import RulesFacts

        facts = RulesFacts.of(self.ruleset)
        columns = {}
        for name, path in self.files.items():
            if self.ruleset.is_wrong(*file_path(name), "dialect"):
                continue
            with path.open("rb") as file:
                head = file.read(HEAD_BYTES)
            try:
                columns[name] = facts.read_header(head, name).columns
            except BadRequestError as error:
                wrong.append(error)
        return columns

    def _dry_plan(
        self, columns: Mapping[str, Sequence[str]], kinds: Mapping[str, Mapping[str, ColumnKind]]
    ) -> Plan:
        from reportgen_dagster.services.rules_problems import dry_plan

        return dry_plan(
            self.ruleset, columns, kinds=kinds, parameters=self.parameters, run_date=self.run_date
        )

    def _is_soon_surveyed(self, columns: Mapping[str, Sequence[str]]) -> bool:
        """Tell whether nobody minds to wait for the types of columns, even where something else is wrong already."""
        return sum(self.files[name].stat().st_size for name in columns) <= SOON_SURVEYED_BYTES

    def _surveyed(
        self, columns: Mapping[str, Sequence[str]], wrong: list[ReportgenError]
    ) -> dict[str, Mapping[str, ColumnKind]]:
        """Find what every row of each file's columns holds."""
        if not columns:
            return {}
        from reportgen_dagster.engine.limits import Limits
        from reportgen_dagster.engine.survey import survey

        files = {name: self.files[name] for name in columns}
        try:
            with tempfile.TemporaryDirectory(prefix="reportgen-") as folder:
                return survey(self.ruleset, files, work=Path(folder), limits=Limits())
        except ReportgenError as error:
            wrong.append(error)
            return {}


def _tell(problems: Sequence[Problem], wrong: Sequence[ReportgenError]) -> None:
    """Raise what is wrong, if anything is: problems of the rules first, with what else is wrong behind them."""
    if problems:
        others = (problem for error in wrong for problem in error.problems or (Problem(error.detail),))
        raise RulesError(problems=[*problems, *others])
    if wrong:
        raise wrong[0]


def asked(
    rules: Path,
    input_file: Path | None,
    reference: Sequence[str] | None,
    parameter: Sequence[str] | None,
    run_date: date,
    *,
    is_run: bool = False,
) -> Asked:
    """Read what a command is asked.

    Args:
        rules: The rules file.
        input_file: The input, if it is given.
        reference: The references that are given.
        parameter: The parameters that are given.
        run_date: What `today()` is.
        is_run: Rows are to be read: every parameter needs a value.

    Raises:
        RulesError: If the rules are no rules at all.
        BadRequestError: If the rules are sound and something else is wrong.
    """
    ruleset = read_rules(rules)
    mistakes: list[BadRequestError] = []
    files: Mapping[str, Path] = {}
    values = None
    try:
        files = given_files(ruleset, input_file, reference)
    except BadRequestError as error:
        mistakes.append(error)
        files = {} if input_file is None else {"input": input_file}
    if (parameter or is_run) and not ruleset.is_wrong("parameters"):
        try:
            values = read_parameters(ruleset, parameter)
        except BadRequestError as error:
            mistakes.append(error)
    found = Asked(ruleset, files, values, run_date, tuple(mistakes))
    if mistakes or ruleset.problems:
        with found.told_by_file_names():
            found.plan()
    return found
