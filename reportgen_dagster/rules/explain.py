"""Shows what rules mean: their long form, the steps as a graph, columns after each step, the queries, where columns come from.

What belongs here: a plan as text and data for people. What does not: the translation (reading/) and the plan (compiling/)
themselves, the graph's syntax (graph.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reportgen_dagster.contracts.types import ANY
from reportgen_dagster.rules.compiling.kinds import ColumnKind
from reportgen_dagster.rules.compiling.plan import INPUT, OutputColumn, Plan, StepResult, TableShape
from reportgen_dagster.rules.expressions.gate import walk
from reportgen_dagster.rules.graph import mermaid
from reportgen_dagster.rules.reading.ruleset import Ruleset

_ASSUMED = 1e6
# What YAML takes for the end of a line, or refuses.
_UNPRINTABLE = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_AS_IF = "as if each column that is computed with held numbers and every other one texts"
_UNTYPED = "a column whose type only data can tell stands as null; give the files to see it"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What rules mean.

    Attributes:
        yaml: The rules in the long form.
        mermaid: The files, steps and the report as a Mermaid flowchart.
        steps: What there is after each step.
        columns: The report's columns.
        families: Columns of the report that only data can tell, as one.
        sql: The queries in the order in which they run: what each is, and its text.
        note: What the queries take for granted; empty if they are what runs.
        lineage: Each column and family of the report with the columns of files that it is made of.
    """

    yaml: str
    mermaid: str
    steps: tuple[StepResult, ...]
    columns: tuple[OutputColumn, ...]
    families: tuple[OutputColumn, ...]
    sql: tuple[tuple[str, str], ...]
    note: str
    lineage: dict[str, tuple[str, ...]]

    def to_text(self) -> str:
        """Return all of it as a YAML file whose comments explain it."""
        parts = [
            self.yaml.rstrip("\n"),
            _comment("The steps as a graph (Mermaid)", self.mermaid),
            _comment(
                f"The columns after each step{_unknown(one for step in self.steps for one in step.columns)}",
                "\n".join(map(_step_line, self.steps)),
            ),
            _comment(
                f"What the report's columns are made of{_unknown(self.columns)}",
                "\n".join(self._lineage_lines()),
            ),
        ]
        note = f" ({self.note})" if self.note else ""
        parts += [_comment(f"{what}{note}", text) for what, text in self.sql]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _lineage_lines(self) -> Iterator[str]:
        for column in (*self.columns, *self.families):
            sources = ", ".join(self.lineage[column.name])
            yield f"{column.name}: {column.type}{f' <- {sources}' if sources else ''}"

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "rules": self.yaml,
            "graph": self.mermaid,
            "steps": [
                {
                    "path": step.path,
                    "kind": step.kind,
                    "label": step.label,
                    "columns": [_as_json(column) for column in step.columns],
                    "column_families": [_as_json(family) for family in step.families],
                    "more_columns": step.is_open,
                }
                for step in self.steps
            ],
            "columns": [_as_json(column) for column in self.columns],
            "column_families": [_as_json(family) for family in self.families],
            "lineage": {name: list(sources) for name, sources in self.lineage.items()},
            "sql": [{"name": what, "sql": text} for what, text in self.sql],
            "note": self.note,
        }


def explain(plan: Plan, ruleset: Ruleset) -> Explanation:
    """Explain rules by their plan.

    Args:
        plan: The plan for as much as is known of the files.
        ruleset: The rules.
    """
    shown, note = (plan, "") if _is_typed(plan) else _assumed(plan, ruleset)
    return Explanation(
        ruleset.to_yaml(),
        mermaid(ruleset),
        plan.steps,
        plan.columns,
        plan.families,
        tuple(_queries(shown)),
        note,
        {
            column.name: tuple(f"{file}.{name}" for file, name in column.sources)
            for column in (*plan.columns, *plan.families)
        },
    )


def _is_typed(plan: Plan) -> bool:
    """Tell whether the plan knew what every column that matters holds."""
    typed = {
        column.sources[0]
        for step in plan.steps
        for column in step.columns
        if column.type.name != "any" and len(column.sources) == 1
    }
    return all((file, name) in typed for file, columns in plan.asked.items() for name in columns)


def _assumed(plan: Plan, ruleset: Ruleset) -> tuple[Plan, str]:
    """Return a plan whose queries can be shown although nothing is known of the files."""
    if ruleset.form == "long":
        return plan, _UNTYPED
    from reportgen_dagster.rules.compiling.compile import compile_ruleset

    figures = {
        node.name
        for expression in ruleset.expressions.values()
        for node, reading in walk(expression.tree)
        if reading == "cell_number"
    }
    columns = tuple(
        dict.fromkeys(name for expression in ruleset.expressions.values() for name in expression.columns)
    )
    kinds = {
        name: ColumnKind("number", _ASSUMED, "number") if name in figures else ColumnKind("text", 0.0, "text")
        for name in columns
    }
    shape = TableShape(INPUT, columns, kinds)
    assumed = compile_ruleset(ruleset, input=shape, references={})
    return (plan, _UNTYPED) if assumed.problems else (assumed, _AS_IF)


def _queries(plan: Plan) -> Iterator[tuple[str, str]]:
    for prepared in plan.prepared:
        yield f"Table `{prepared.name}`, made before the rows are read", prepared.sql
    for number, block in enumerate(plan.blocks, start=1):
        what = "The query of the rows" if number == 1 else f"Query {number}, from {block.step}"
        yield what, block.sql
    if plan.pivot is not None:
        yield f"The values that steps[{plan.pivot.step}] makes columns of", plan.pivot.sql


def _comment(title: str, text: str) -> str:
    lines: Sequence[str] = _UNPRINTABLE.sub(_picture, text).split("\n") if text else ()
    return "\n".join([f"# {title}", *(f"#   {line}".rstrip() for line in lines)]) if lines else ""


def _picture(found: re.Match[str]) -> str:
    """Show a character that no comment may hold: control characters as Unicode pictures them."""
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else "\ufffd"


def _unknown(columns: Iterable[OutputColumn]) -> str:
    """Return what `any` means, if it is shown."""
    return " (`any`: not known before data)" if any(column.type == ANY for column in columns) else ""


def _step_line(step: StepResult) -> str:
    columns = ", ".join(f"{column.name} {column.type}" for column in (*step.columns, *step.families))
    return f"{step.path} {step.kind}: {columns}{', ...' if step.is_open else ''}"


def _as_json(column: OutputColumn) -> dict[str, Any]:
    sources = [{"file": file, "column": name} for file, name in column.sources]
    return {"name": column.name, "type": str(column.type), "sources": sources}
