"""How a text becomes a typed value, strictly: SQL that is null where the text is not of the type, and never fails.

What belongs here: the notation of values and the SQL for it. What does not: constraints (contract.py). DuckDB's TRY_CAST
alone takes `1_000`, ` 2 `, `0x1F`, `1.6` as integers, rounds decimals and drops time zones, hence the patterns.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.formats import ISO, ZONE, layout_pattern
from reportgen_dagster.contracts.models import DEFAULT_SCALE, MAX_PRECISION
from reportgen_dagster.contracts.types import Type

TRUE = ("true", "True", "TRUE", "1")
FALSE = ("false", "False", "FALSE", "0")


@dataclass(frozen=True, slots=True)
class Notation:
    """How the values of a field are written.

    Attributes:
        layout: Format of dates and times; None: ISO 8601.
        decimal: The decimal mark.
        group: The mark between groups of three digits, if there is one.
        bare: Nothing stands before or behind a number.
        true_values: What is true.
        false_values: What is false.
    """

    layout: str | None = None
    decimal: str = "."
    group: str | None = None
    bare: bool = True
    true_values: tuple[str, ...] = TRUE
    false_values: tuple[str, ...] = FALSE

    def told(self, type_: Type) -> str:
        """Tell a type with its notation to people, as `date %d/%m/%Y`."""
        if type_.name in ("date", "time", "datetime"):
            return f"{type_} {self.layout}" if self.layout else str(type_)
        if type_.name == "boolean" and (self.true_values, self.false_values) != (TRUE, FALSE):
            return f"boolean {'/'.join(self.true_values)} or {'/'.join(self.false_values)}"
        if type_.name not in ("integer", "number", "decimal"):
            return str(type_)
        marks = [f"decimal mark '{self.decimal}'"] if self.decimal != "." and type_.name != "integer" else []
        marks += [f"group mark '{self.group}'"] if self.group else []
        is_untold = type_ == Type("decimal", MAX_PRECISION, DEFAULT_SCALE)
        return ", ".join([type_.name if is_untold else str(type_), *marks])


def strict_cast(raw: Expr, type_: Type, notation: Notation) -> Expr:
    """Return SQL for a text's value: null where it is null or not of the type.

    Args:
        raw: The text; best a column, for it is written several times.
        type_: What it is to be; a `text` and `any` stay as they are.
        notation: How it is written.
    """
    return _CASTS[type_.name](raw, type_, notation) if type_.name in _CASTS else raw


def _text(value: str) -> Expr:
    return exp.Literal.string(value)


def _call(name: str, *arguments: Expr) -> Expr:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _try_cast(value: Expr, type_: str) -> Expr:
    return exp.TryCast(this=value.copy(), to=exp.DataType.build(type_, dialect="duckdb"))


def _where(condition: Expr, value: Expr) -> Expr:
    return exp.Case(ifs=[exp.If(this=condition, true=value)])


def _matches(value: Expr, pattern: str) -> Expr:
    return _call("regexp_full_match", value, _text(pattern))


def _number_pattern(type_: Type, notation: Notation) -> str:
    """Return the pattern of a number's text, without what may stand around it."""
    digits = "[0-9]+"
    if notation.group:
        digits = f"(?:[0-9]{{1,3}}(?:{re.escape(notation.group)}[0-9]{{3}})+|[0-9]+)"
    if type_.name == "integer":
        return f"[+-]?{digits}"
    mark = re.escape(notation.decimal)
    exponent = "(?:[eE][+-]?[0-9]+)?" if type_.name == "number" else ""
    behind = f"[0-9]{{0,{type_.scale}}}0*" if type_.name == "decimal" else "[0-9]*"
    written = f"{digits}(?:{mark}{behind})?"
    if not notation.bare:
        return f"[+-]?{written}{exponent}"
    leading = "[0-9]+"
    if type_.name == "decimal":
        leading = f"(?:[0-9]{{1,{type_.scale}}}0*|0+)" if type_.scale else "0+"
    return f"[+-]?(?:{written}|{mark}{leading}){exponent}"


def _bare(raw: Expr, pattern: str, mark: str) -> Expr:
    """Return the number within a text; an empty text where there is none.

    A number that begins with its decimal mark, a bracket and a minus behind the number are refused: `Fr.5`, `(5)` and `5-` would
    be read wrong.
    """
    before = f"(?:[^0-9+\\-(]*[^0-9+\\-({re.escape(mark)}])?"
    return _call("regexp_extract", raw, _text(f"^{before}({pattern})[^0-9+\\-()]*$"), exp.Literal.number(1))


def _number(raw: Expr, type_: Type, notation: Notation) -> Expr:
    pattern = _number_pattern(type_, notation)
    text = raw if notation.bare else _bare(raw, pattern, notation.decimal)
    plain = text
    if notation.group:
        plain = _call("replace", plain, _text(notation.group), _text(""))
    if notation.decimal != "." and type_.name != "integer":
        plain = _call("replace", plain, _text(notation.decimal), _text("."))
    value = _try_cast(plain, _SQL_TYPES.get(type_.name, str(type_)))
    if not notation.bare:
        guard: Expr = exp.NEQ(this=text.copy(), expression=_text(""))
    else:
        guard = _matches(text, pattern)
    if type_.name == "integer" and plain is raw:
        # A branch of its own: both sides of OR would be computed for each row.
        return exp.Case(
            ifs=[exp.If(this=_is_canonical(value, raw), true=value), *_where(guard, value.copy()).args["ifs"]]
        )
    if type_.name == "number":
        guard = exp.And(this=guard, expression=_call("isfinite", value))
    return _where(guard, value)


def _is_canonical(value: Expr, raw: Expr) -> Expr:
    """Test that a value is written just so; cheaper than a pattern."""
    return exp.EQ(this=exp.cast(value.copy(), "VARCHAR"), expression=raw.copy())


_SQL_TYPES = {"integer": "BIGINT", "number": "DOUBLE"}


def _boolean(raw: Expr, _: Type, notation: Notation) -> Expr:
    return exp.Case(
        ifs=[
            exp.If(
                this=exp.In(this=raw.copy(), expressions=[_text(word) for word in words]),
                true=exp.Boolean(this=meaning),
            )
            for meaning, words in ((True, notation.true_values), (False, notation.false_values))
        ]
    )


def _date(raw: Expr, _: Type, notation: Notation) -> Expr:
    if notation.layout is not None:
        value = _try_cast(_strptime(raw, notation), "DATE")
        return _where(_matches(raw, layout_pattern(notation.layout)), value)
    value = _try_cast(raw, "DATE")
    ten = exp.EQ(this=_call("length", raw), expression=exp.Literal.number(10))
    return _where(exp.And(this=_is_canonical(value, raw), expression=ten), value)


def _time(raw: Expr, _: Type, notation: Notation) -> Expr:
    if notation.layout is None:
        return _where(_matches(raw, ISO["time"]), _try_cast(raw, "TIME"))
    return _where(_matches(raw, layout_pattern(notation.layout)), _try_cast(_strptime(raw, notation), "TIME"))


def _datetime(raw: Expr, _: Type, notation: Notation) -> Expr:
    if notation.layout is None:
        # A cast to TIMESTAMP would drop a zone, one to TIMESTAMPTZ would take the session's where there is none.
        zoned = exp.If(
            this=_matches(raw, ISO["datetime"] + ZONE), true=_as_utc(_try_cast(raw, "TIMESTAMPTZ"))
        )
        plain = exp.If(this=_matches(raw, ISO["datetime"]), true=_try_cast(raw, "TIMESTAMP"))
        return exp.Case(ifs=[plain, zoned])
    value = _strptime(raw, notation)
    if "%z" in notation.layout.replace("%%", ""):
        value = _as_utc(value)
    return _where(_matches(raw, layout_pattern(notation.layout)), value)


def _strptime(raw: Expr, notation: Notation) -> Expr:
    return _call("try_strptime", raw, _text(notation.layout or ""))


def _as_utc(moment: Expr) -> Expr:
    return _call("make_timestamp", _call("epoch_us", moment))


_CASTS: dict[str, Callable[[Expr, Type, Notation], Expr]] = {
    "integer": _number,
    "number": _number,
    "decimal": _number,
    "boolean": _boolean,
    "date": _date,
    "time": _time,
    "datetime": _datetime,
}
