"""`reportgen explain`: what rules mean, in the long form and as SQL."""

from __future__ import annotations

import sys

from reportgen_dagster.cli.output import (
    OptionalInputOption,
    ReferenceOption,
    RulesArgument,
    fitting_columns,
    read_rules,
)


def explain_command(
    rules: RulesArgument,
    input_file: OptionalInputOption = None,
    reference: ReferenceOption = None,
) -> None:
    """Show rules in the long form and the query that runs; with files, for their columns."""
    from reportgen_dagster.rules.explain import explain, explain_sql

    ruleset = read_rules(rules)
    columns = fitting_columns(ruleset, input_file, reference)
    if columns is None:
        sys.stdout.write(explain(ruleset))
        return
    query = explain_sql(ruleset, columns.pop("input"), columns)
    sys.stdout.write(
        f"{ruleset.to_yaml()}\n{''.join(f'# {line}'.rstrip() + chr(10) for line in query.splitlines())}"
    )
