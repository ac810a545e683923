"""What `check` and `explain` show: the plan of rules, for as much as is known of their files.

What belongs here: which files are looked at, and how far. What does not: printing, and the plan itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reportgen_dagster.cli.output import read_headers
from reportgen_dagster.errors import RulesError

if TYPE_CHECKING:
    from reportgen_dagster.rules.compiling.kinds import ColumnKind
    from reportgen_dagster.rules.compiling.plan import Plan
    from reportgen_dagster.rules.reading.ruleset import Ruleset


def checked_plan(
    ruleset: Ruleset, files: Mapping[str, Path], *, parameters: Mapping[str, Any] | None, run_date: date
) -> Plan:
    """Return the plan of rules without problems.

    With all files, types are those of every row; with some of them their headers count.

    Args:
        ruleset: The rules.
        files: The files that are given, by name.
        parameters: Values in the types that the rules declare, if they are given.
        run_date: What `today()` is.

    Raises:
        RulesError: With every problem.
        BadDataError: If a file cannot be read.
    """
    from reportgen_dagster.services.rules_problems import dry_plan, plan_problems

    columns = read_headers(ruleset, files)
    kinds = _surveyed(ruleset, files) if files and {*ruleset.reference_names} <= {*files} else {}
    plan = dry_plan(ruleset, columns, kinds=kinds, parameters=parameters, run_date=run_date)
    problems = plan_problems(plan)
    if problems:
        raise RulesError(problems=problems)
    return plan


def _surveyed(ruleset: Ruleset, files: Mapping[str, Path]) -> dict[str, Mapping[str, ColumnKind]]:
    """Find what every row of each file's columns holds."""
    from reportgen_dagster.engine.limits import Limits
    from reportgen_dagster.engine.survey import survey

    with tempfile.TemporaryDirectory(prefix="reportgen-") as folder:
        return survey(ruleset, files, work=Path(folder), limits=Limits())
