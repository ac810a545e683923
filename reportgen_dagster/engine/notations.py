"""How the values of a text column may be written where it is not as the language itself writes them: `31.12.2024`, `1.234,56`.

What belongs here: the ways of writing that are looked for, and which of them every cell of a column keeps. What does not: the
plain grammars (`rules/compiling/kinds.py`), the casts (`contracts/casts.py`), what is made of it (inference.py).

A way counts only if the contract that says so reads every cell. Cells that two ways read otherwise are left to the user.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.casts import Notation, strict_cast
from reportgen_dagster.contracts.formats import layout_pattern
from reportgen_dagster.contracts.types import Type, TypeName
from reportgen_dagster.rules.values.typed import DIALECT, all_of, call, column, is_present, text

_DATE_MARKS = "./-"
_DATE_ORDERS = ("dmY", "mdY", "Ymd")
_TIMES = ("", " %H:%M", " %H:%M:%S")
_GROUP_MARKS = ",. '"
_DECIMAL_MARKS = ",."


@dataclass(frozen=True, slots=True)
class Way:
    """A type, and how its values are written.

    Attributes:
        type: `integer`, `number`, `date` or `datetime`.
        notation: How they are written.
        pattern: The texts that are written so; codes with leading zeros are no numbers.
    """

    type: TypeName
    notation: Notation
    pattern: str

    def value(self, raw: Expr) -> Expr:
        """Return SQL for a text's value, null where it is not written so."""
        return strict_cast(raw, Type(self.type), self.notation)

    def in_field(self) -> dict[str, str]:
        """Return what a contract's field says of it."""
        said = {
            "type": self.type,
            "format": self.notation.layout,
            "decimalChar": self.notation.decimal if self.notation.decimal != "." else None,
            "groupChar": self.notation.group,
        }
        return {key: value for key, value in said.items() if value is not None}


def _of_days() -> Iterator[Way]:
    for mark, order, time in product(_DATE_MARKS, _DATE_ORDERS, _TIMES):
        layout = mark.join(f"%{letter}" for letter in order) + time
        yield Way("datetime" if time else "date", Notation(layout), layout_pattern(layout))


def _of_numbers() -> Iterator[Way]:
    for group in _GROUP_MARKS:
        yield Way("integer", Notation(group=group), f"-?{_digits(group)}")
    for decimal, group in product(_DECIMAL_MARKS, (None, *_GROUP_MARKS)):
        if decimal != group and (decimal, group) != (".", None):
            pattern = f"-?{_digits(group)}(?:{re.escape(decimal)}[0-9]+)?"
            yield Way("number", Notation(decimal=decimal, group=group), pattern)


def _digits(group: str | None) -> str:
    grouped = f"[1-9][0-9]{{0,2}}(?:{re.escape(group)}[0-9]{{3}})+|" if group else ""
    return f"(?:{grouped}0|[1-9][0-9]*)"


# Of several that mean the same the first counts: integers before numbers, no group mark before one.
_WAYS = (*_of_days(), *_of_numbers())


def find_ways(
    query: Callable[[str], Sequence[Any]], relation: str, names: Sequence[str]
) -> dict[str, tuple[Way, ...]]:
    """Return the ways in which every cell of each column is written, for the columns that have any.

    Args:
        query: Runs a SELECT and returns its one row.
        relation: Name of a table or view whose columns are texts, null where the cell is empty.
        names: The columns to look at.
    """
    if not names:
        return {}
    cells = query(_select(relation, [call("any_value", column(name)) for name in names]))
    possible = {
        name: [way for way in _WAYS if re.fullmatch(way.pattern, cell)]
        for name, cell in zip(names, cells, strict=True)
        if cell is not None
    }
    asked = [(name, way) for name, ways in possible.items() for way in ways]
    if not asked:
        return {}
    broken = query(_select(relation, [_broken_count(column(name), way) for name, way in asked]))
    found: dict[str, tuple[Way, ...]] = {}
    for (name, way), count in zip(asked, broken, strict=True):
        if not count:
            found[name] = (*found.get(name, ()), way)
    return found


def _select(relation: str, figures: Sequence[Expr]) -> str:
    return exp.select(*figures).from_(exp.to_identifier(relation, quoted=True)).sql(DIALECT)


def _broken_count(raw: Expr, way: Way) -> Expr:
    """Count the cells that are not written so."""
    matches = call("regexp_full_match", raw, text(way.pattern))
    keeps = all_of((matches, is_present(way.value(raw))))
    return call("count_if", all_of((is_present(raw), exp.Not(this=exp.Paren(this=keeps)))))


def readings(ways: Sequence[Way]) -> tuple[Way, ...]:
    """Return one way for each meaning that a column's cells may have, of all the ways in which they are written.

    `1.2.2024` may be the first of February or the second of January, `1,234` a large or a small number.
    """
    first = ways[0]
    if first.notation.layout is not None:
        return tuple(ways)
    for mark in _DECIMAL_MARKS:
        large = [way for way in ways if way.notation.group == mark]
        small = [way for way in ways if way.notation.decimal == mark and way.type == "number"]
        if large and small:
            return large[0], small[0]
    return (first,)
