"""`reportgen check`: every problem of rules, before any row is read."""

from __future__ import annotations

from reportgen_dagster.cli.output import (
    JsonOption,
    OptionalInputOption,
    ReferenceOption,
    RulesArgument,
    console,
    fitting_columns,
    print_json,
    read_rules,
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
    ruleset = read_rules(rules)
    fitting_columns(ruleset, input_file, reference)
    if as_json:
        print_json({"problems": [], "columns": list(ruleset.output_columns)})
    else:
        formulas = len(ruleset.formulas)
        console().print(f"{rules.name}: no problems in {formulas} formula{'' if formulas == 1 else 's'}")
