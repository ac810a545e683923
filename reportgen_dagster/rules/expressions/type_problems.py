"""What is wrong with operands by their types alone, and how to mend it.

What belongs here: sentences about kinds of values, how a message quotes an expression. What does not: finding them
(evaluation.py).
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.expressions.gate import target_type
from reportgen_dagster.rules.values.operators import NUMERIC, SIMPLE, word_for
from reportgen_dagster.rules.values.temporal import KINDS
from reportgen_dagster.rules.values.typed import DIALECT, Value

MAX_SHOWN = 80
_LITERALS = {
    "date": "write a date as date '2024-01-31'",
    "time": "write a time as time '10:00:00'",
    "datetime": "write a datetime as datetime '2024-01-31T10:00:00'",
}


def shown(node: Expr) -> str:
    """Return a part of an expression as a message quotes it."""
    root = exp.Paren(this=node.copy())
    for parameter in list(root.find_all(exp.Placeholder)):
        parameter.replace(exp.Var(this=f":{parameter.this}"))
    for moment in [*root.find_all(exp.Cast)]:
        kind = target_type(moment).name
        if kind in KINDS and isinstance(moment.this, exp.Literal) and moment.this.is_string:
            moment.replace(exp.Var(this=f"{kind} {moment.this.sql(DIALECT)}"))
    written = root.this.sql(DIALECT, normalize_functions=False)
    return f"`{written if len(written) <= MAX_SHOWN else written[: MAX_SHOWN - 3] + '...'}`"


def comparison_problem(left: Value, right: Value) -> str:
    """Return why two values cannot be compared, as `compares a date with a number; ...`, or nothing."""
    if "any" in (left.kind, right.kind) or "null" in (left.kind, right.kind):
        return ""
    sorts = (_sort(left), _sort(right))
    if sorts[0] == sorts[1] or ("cell" in sorts and not set(sorts) & set(SIMPLE)):
        return ""
    if set(sorts) == {"date", "datetime"}:
        return ""
    hint = _comparison_hint(left, right)
    return f"compares {word_for(left)} with {word_for(right)}{f'; {hint}' if hint else ''}"


def _sort(value: Value) -> str:
    return "number" if value.kind in NUMERIC else value.kind


def _comparison_hint(left: Value, right: Value) -> str:
    moments = [value for value in (left, right) if value.kind in KINDS]
    if moments:
        other = right if moments[0] is left else left
        if other.kind == "text":
            return f"cast(x as {moments[0].kind}) reads a text"
        return _LITERALS[moments[0].kind]
    texts = [value for value in (left, right) if value.kind == "text"]
    if not texts or "boolean" in (left.kind, right.kind):
        return "write `x` or `not x` for a condition" if "boolean" in (left.kind, right.kind) else ""
    other = right if texts[0] is left else left
    if texts[0].literal is not None:
        return "write a number without quotes"
    if other.literal is not None:
        return f"write a text in quotes, as '{other.literal}', or read the text by number(...)"
    return "number(...) reads a text as a number"


def operand_problem(value: Value, *, is_sum: bool) -> str:
    """Return why nothing can be computed with a value, as `computes with a text; ...`, or nothing."""
    if value.kind == "text":
        if is_sum:
            return "adds a text; texts are joined by `||`, and number(...) reads a text as a number"
        return "computes with a text; number(...) reads a text as a number"
    if value.kind == "boolean":
        return "computes with a boolean; write case when x then 1 else 0 end"
    if value.kind in KINDS:
        return f"computes with {word_for(value)}"
    return ""


def mixture_problem(other: Value) -> str:
    """Tell that texts and other values stand where one of them is taken."""
    return f"one value is a text, another is {word_for(other)}; text(...) makes a text of it"
