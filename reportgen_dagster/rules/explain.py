"""Shows what rules mean: their long form, and the query.

What belongs here: text for people. What does not: the translation (loading.py) and the query (compile.py) themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reportgen_dagster.rules.compile import compile_ruleset
from reportgen_dagster.rules.kinds import ColumnKind
from reportgen_dagster.rules.loading import Ruleset
from reportgen_dagster.rules.sources import INPUT, TableShape

_ASSUMED_LARGEST = 1e6


def explain(ruleset: Ruleset) -> str:
    """Return the rules in the long form and the query, as if the input had every column that the rules name."""
    columns = tuple(dict.fromkeys(use.column for use in ruleset.uses))
    note = (
        "# The query, as if the input held every column and each held numbers or texts as the formulas ask\n"
    )
    query = explain_sql(ruleset, columns, {})
    return f"{ruleset.to_yaml()}\n{note}" + "".join(f"# {line}\n" for line in query.split("\n"))


def explain_sql(
    ruleset: Ruleset, input_columns: Sequence[str], reference_columns: Mapping[str, Sequence[str]]
) -> str:
    """Return the query for files with these headers.

    Columns that the formulas use as numbers are taken to hold numbers, all others texts; real files decide for themselves.
    """
    figures = {use.column for use in ruleset.uses if use.context == "cell_number"}

    def shape(relation: str, columns: Sequence[str]) -> TableShape:
        kinds = {
            name: ColumnKind("number", _ASSUMED_LARGEST) if name in figures else ColumnKind("text")
            for name in columns
        }
        return TableShape(relation, tuple(columns), kinds)

    references = {name: shape(name, columns) for name, columns in reference_columns.items()}
    return compile_ruleset(ruleset, input=shape(INPUT, input_columns), references=references).sql
