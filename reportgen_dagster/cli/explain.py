"""`reportgen explain`: what rules mean, in the long form and as SQL."""

from __future__ import annotations

import sys

from reportgen_dagster.cli.output import (
    OptionalInputOption,
    ReferenceOption,
    RulesArgument,
    read_headers,
    read_rules,
    reference_paths,
)


def explain_command(
    rules: RulesArgument,
    input_file: OptionalInputOption = None,
    reference: ReferenceOption = None,
) -> None:
    """Show rules in the long form and the query that runs; with files, for their columns."""
    from reportgen_dagster.errors import RulesError
    from reportgen_dagster.rules.checks import check_columns
    from reportgen_dagster.rules.explain import explain, explain_sql

    ruleset = read_rules(rules)
    references = reference_paths(reference)
    if input_file is None:
        sys.stdout.write(explain(ruleset))
        return
    columns = read_headers({"input": input_file, **references})
    input_columns = columns.pop("input")
    problems = check_columns(ruleset, input_columns=input_columns, reference_columns=columns)
    if problems:
        raise RulesError(problems=problems)
    query = explain_sql(ruleset, input_columns, columns)
    sys.stdout.write(
        f"{ruleset.to_yaml()}\n{''.join(f'# {line}'.rstrip() + chr(10) for line in query.splitlines())}"
    )
