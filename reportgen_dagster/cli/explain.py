"""`reportgen explain`: what rules mean: long form, graph of the steps, columns, SQL and lineage."""

from __future__ import annotations

import sys

from reportgen_dagster.cli.output import (
    DateOption,
    JsonOption,
    OptionalInputOption,
    ParameterOption,
    ReferenceOption,
    RulesArgument,
    given_files,
    print_json,
    read_parameters,
    read_rules,
    run_date_of,
)
from reportgen_dagster.cli.planning import checked_plan


def explain_command(
    rules: RulesArgument,
    input_file: OptionalInputOption = None,
    reference: ReferenceOption = None,
    parameter: ParameterOption = None,
    date: DateOption = None,
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Show what rules mean; with files, for their columns and types."""
    from reportgen_dagster.rules.explain import explain

    ruleset = read_rules(rules)
    values = read_parameters(ruleset, parameter) if parameter else None
    files = given_files(ruleset, input_file, reference)
    plan = checked_plan(ruleset, files, parameters=values, run_date=run_date_of(date))
    explanation = explain(plan, ruleset)
    if as_json:
        print_json(explanation.to_json())
    else:
        sys.stdout.write(explanation.to_text())
