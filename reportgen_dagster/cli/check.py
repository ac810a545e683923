"""`reportgen check`: every problem of rules, before a report is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reportgen_dagster.cli.output import (
    DateOption,
    JsonOption,
    OptionalInputOption,
    ParameterOption,
    ReferenceOption,
    RulesArgument,
    columns_json,
    console,
    print_json,
    run_date_of,
)
from reportgen_dagster.cli.planning import asked

if TYPE_CHECKING:
    from reportgen_dagster.rules.compiling.plan import Plan
    from reportgen_dagster.rules.reading.ruleset import Ruleset


def check_command(
    rules: RulesArgument,
    input_file: OptionalInputOption = None,
    reference: ReferenceOption = None,
    parameter: ParameterOption = None,
    date: DateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find every problem in rules; with files, also the columns, keys and types that do not fit.

    Exits with 0 if there is none, else with 2.
    """
    found = asked(rules, input_file, reference, parameter, run_date_of(date))
    with found.told_by_file_names():
        plan = found.plan()
    if as_json:
        print_json(_as_json(plan))
        return
    screen = console()
    screen.print(f"{rules.name}: no problems in {_count(found.ruleset)}", markup=False)
    if found.files:
        for column in plan.columns:
            screen.print(f"  {column.name}: {column.type}", markup=False)


def _as_json(plan: Plan) -> dict[str, Any]:
    steps = [
        {
            "path": step.path,
            "kind": step.kind,
            "label": step.label,
            "columns": columns_json(step.columns),
            "more_columns": step.is_open,
        }
        for step in plan.steps
    ]
    return {"problems": [], "columns": columns_json(plan.columns), "steps": steps}


def _count(ruleset: Ruleset) -> str:
    """Tell how much was checked, as `5 formulas`."""
    if ruleset.form == "short":
        count, word = len(ruleset.expressions), "formula"
    else:
        count, word = len(ruleset.document.steps), "step"
    return f"{count} {word}{'' if count == 1 else 's'}"
