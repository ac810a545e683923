"""What people call the constructs of SQL that no expression may have, and what to write instead.

What belongs here: words. What does not: which constructs are allowed (gate.py), where they stand.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.expressions import Expr

_SUBQUERY = ("a query", "there are no subqueries")
_LIST = ("`( )` with commas", "a list stands only behind `in`")
_REGEX = "use regex_matches(text, pattern)"
_BITS = "there are no operators on bits"
_JSON = "there are no JSON values"
_QUOTES = "a text is written in single quotes"
_STATEMENT = ("a statement", "only an expression can stand here")
_TERMS: dict[type[Expr], tuple[str, str]] = {
    exp.Select: _SUBQUERY,
    exp.Subquery: _SUBQUERY,
    exp.Union: _SUBQUERY,
    exp.Intersect: _SUBQUERY,
    exp.Except: _SUBQUERY,
    exp.Exists: ("`exists`", "there are no subqueries"),
    exp.Values: ("`values`", "there are no subqueries"),
    exp.Any: ("`any`", "use `in`"),
    exp.All: ("`all`", "compare with each value"),
    exp.Window: ("`over`", "windows are made by the step `window`, which has `partition_by` and `order_by`"),
    exp.Filter: ("`filter`", "use count_if(condition) or sum(case when condition then x end)"),
    exp.Order: (
        "`order by`",
        "`first`, `last` and `string_agg` follow the order of the rows; put a `sort` before",
    ),
    exp.Distinct: ("`distinct`", "`distinct` stands only in an aggregate such as count(distinct x)"),
    exp.Star: ("`*`", "`*` stands only in count(*)"),
    exp.Aliases: ("a name behind an expression", "the key before the expression names it"),
    exp.Dot: ("`.` behind a value", "a column is named by its name alone"),
    exp.Struct: ("`{ }`", ""),
    exp.Tuple: _LIST,
    exp.Lambda: ("`->` or `lambda`", "a function cannot be an argument"),
    exp.Kwarg: ("`=>`", "arguments are given by position"),
    exp.PropertyEQ: ("`:=`", "arguments are given by position, and `=` compares"),
    exp.Interval: ("`interval`", "use add_days, add_months and the like"),
    exp.AtTimeZone: ("`at time zone`", "use to_zone or from_zone"),
    exp.Collate: ("`collate`", "texts compare character by character; lower(text) folds case"),
    exp.Concat: ("two texts side by side", "texts are joined by `||`"),
    exp.ByteString: ("`e'...'`", _QUOTES),
    exp.RawString: ("`$$...$$`", _QUOTES),
    exp.National: ("`n'...'`", _QUOTES),
    exp.HexString: ("`x'...'`", _QUOTES),
    exp.BitString: ("`b'...'`", _QUOTES),
    exp.UnicodeString: ("`u&'...'`", _QUOTES),
    exp.Pow: ("`^` or `**`", "use power(a, b)"),
    exp.SimilarTo: ("`similar to`", _REGEX),
    exp.RegexpLike: ("`~`", _REGEX),
    exp.RegexpILike: ("`~*`", _REGEX),
    exp.Glob: ("`glob`", "use like or regex_matches(text, pattern)"),
    exp.Escape: ("`escape`", "use contains, starts_with or regex_matches"),
    exp.StartsWith: ("`^@`", "use starts_with(text, part)"),
    exp.BitwiseAnd: ("`&`", f"{_BITS}; write `and`"),
    exp.BitwiseOr: ("`|`", f"{_BITS}; write `or`, or `||` to join texts"),
    exp.BitwiseXor: ("`xor`", _BITS),
    exp.Xor: ("`xor`", "write a <> b of two conditions"),
    exp.BitwiseNot: ("`~`", f"{_BITS}; write `not`"),
    exp.BitwiseLeftShift: ("`<<`", _BITS),
    exp.BitwiseRightShift: ("`>>`", _BITS),
    exp.ArrayOverlaps: ("`&&`", "write `and`"),
    exp.ArrayContainsAll: ("`@>`", "use `in` or contains(text, part)"),
    exp.ArrayContainedBy: ("`<@`", "use `in` or contains(text, part)"),
    exp.JSONExtract: ("`->`", _JSON),
    exp.JSONExtractScalar: ("`->>`", _JSON),
    exp.JSONBExtract: ("`#>`", _JSON),
    exp.JSONBExtractScalar: ("`#>>`", _JSON),
    exp.TryCast: ("`try_cast`", "use if_error(cast(x as integer), null)"),
}
_STATEMENTS = (exp.DDL, exp.DML, exp.Command, exp.Query)


def refusal(node: Expr) -> str:
    """Say that a construct is not allowed, and what to write instead."""
    if isinstance(node, exp.Alias):
        return _renaming(node)
    what, hint = _TERMS.get(type(node)) or (_STATEMENT if _is_statement(node) else ("this", ""))
    return f"{what} is not allowed in an expression{f'; {hint}' if hint else ''}"


def _is_statement(node: Expr) -> bool:
    """Tell whether something stands for itself; all else that sqlglot reads at the top of an expression is part of one."""
    return isinstance(node, _STATEMENTS) or not isinstance(node, (exp.Condition, exp.Func, exp.Predicate))


def _renaming(node: exp.Alias) -> str:
    """Tell of `a as b`, which `unit price` is read as, too."""
    before = node.this
    while isinstance(before, exp.Binary):
        before = before.expression
    if isinstance(before, exp.Column) and before.name and node.alias:
        return (
            f"`{node.alias}` stands behind `{before.name}`; a name with blanks stands in double quotes:"
            f' "{before.name} {node.alias}" (`as` is not needed: the key before the expression names it)'
        )
    return f"`{node.alias}` stands behind a value; `as` is not needed: the key before the expression names it"
