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
    print_json,
    run_date_of,
)
from reportgen_dagster.cli.planning import asked


def explain_command(
    rules: RulesArgument,
    input_file: OptionalInputOption = None,
    reference: ReferenceOption = None,
    parameter: ParameterOption = None,
    date: DateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what rules mean; with files, for their columns and types."""
    from reportgen_dagster.rules.explain import explain

    found = asked(rules, input_file, reference, parameter, run_date_of(date))
    with found.told_by_file_names():
        plan = found.settled(found.plan())
    explanation = explain(plan, found.ruleset)
    if as_json:
        print_json(explanation.to_json())
    else:
        sys.stdout.write(explanation.to_text())
