"""Many checks made one: what is handed on is the reason of the first that is true.

What belongs here: folding. What does not: which checks there are (operators.py, numbers.py, functions/).

A check speaks of names, and whatever carries it further keeps them all. A long chain of operators would carry the names of
every step through every later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import Check, Value, case, is_present

MOST = 8  # checks that a value carries one by one


def folded(layers: Layers, value: Value) -> Value:
    """Return a value that carries few checks."""
    return replace(value, checks=(fold(layers, value.checks),)) if len(value.checks) > MOST else value


def fold(layers: Layers, checks: Sequence[Check]) -> Check:
    """Return the check that one of these is true; its reason is the one of the first that is."""
    reason = layers.bind(case(*((check.condition, check.reason) for check in checks)), "reason")
    return Check(is_present(reason), reason)


def reasons_of(layers: Layers, reason: Expr) -> list[str]:
    """Return the texts that a reason may be, each once."""
    meant = layers.meant(reason)
    if not isinstance(meant, exp.Case):
        return [str(part.this) for part in meant.find_all(exp.Literal) if part.is_string]
    rest = meant.args.get("default")
    parts = [*(branch.args["true"] for branch in meant.args["ifs"]), *([rest] if rest is not None else [])]
    return list(dict.fromkeys(text for part in parts for text in reasons_of(layers, part)))
