"""`reportgen check`: every problem of rules, before any row is read."""

from __future__ import annotations

from reportgen_dagster.cli.output import (
    JsonOption,
    OptionalInputOption,
    ReferenceOption,
    RulesArgument,
    console,
    print_json,
    read_headers,
    read_rules,
    reference_paths,
)


def check_command(
    rules: RulesArgument,
    input_file: OptionalInputOption = None,
    reference: ReferenceOption = None,
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Find every problem in rules; with files, also the columns and keys that do not fit.

    Exits with 0 if there is none, else with 2.
    """
    from reportgen_dagster.errors import RulesError
    from reportgen_dagster.rules.checks import check_columns

    ruleset = read_rules(rules)
    references = reference_paths(reference)
    if input_file is not None:
        columns = read_headers({"input": input_file, **references})
        problems = check_columns(ruleset, input_columns=columns.pop("input"), reference_columns=columns)
        if problems:
            raise RulesError(problems=problems)
    if as_json:
        print_json({"problems": [], "columns": list(ruleset.output_columns)})
    else:
        formulas = len(ruleset.formulas)
        console().print(f"{rules.name}: no problems in {formulas} formula{'' if formulas == 1 else 's'}")
