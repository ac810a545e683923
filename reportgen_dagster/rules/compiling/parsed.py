"""Cells that the engine may read itself, in bulk, where the first block would compute nothing of a text but its plain value.

What belongs here: which values of the first block are such, and the block's query over rows that have them as columns. What does
not: reading (engine/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.contract import ContractField
from reportgen_dagster.contracts.types import TypeName
from reportgen_dagster.rules.compiling.draft import Draft, table
from reportgen_dagster.rules.compiling.file_columns import DATABASE_TYPES
from reportgen_dagster.rules.compiling.plan import INPUT, PARSED, ParsedInput, Reading
from reportgen_dagster.rules.values.layers import BASE, Layers, Names, key_of
from reportgen_dagster.rules.values.typed import column, try_cast

_PLAIN: tuple[TypeName, ...] = ("integer", "number", "date")


@dataclass(frozen=True, slots=True)
class ParsedRows:
    """The rows of the input with values that were read already.

    Attributes:
        base: The FROM of these rows.
        given: For names at the lowest level the column that has their value.
        readings: What these columns hold, by name.
        place: The column that numbers the rows.
    """

    base: exp.Select
    given: Mapping[str, Expr]
    readings: Mapping[str, Reading]
    place: str

    def input(self, queries: Iterable[exp.Select], sql: str, text_sql: str) -> ParsedInput:
        """Return what the engine is told of these queries over the rows."""
        used = [
            found.name for query in queries for found in query.find_all(exp.Column) if found.table == BASE
        ]
        values = {name: self.readings[name] for name in used if name in self.readings}
        texts = tuple(dict.fromkeys(name for name in used if name not in (*self.readings, self.place)))
        return ParsedInput(texts, values, self.place, sql, text_sql)


def parsed_rows(draft: Draft, layers: Layers) -> ParsedRows:
    """Return the rows that the first block may begin with instead of the input's texts.

    Args:
        draft: The plan.
        layers: Of the first block.
    """
    plain = {key_of(value): reading for value, reading in _plain_values(draft)}
    names = Names(draft.input.columns or ())
    given, readings = {}, {}
    for name, value in layers.lowest.items():
        reading = plain.get(key_of(value))
        if reading is not None:
            unique = names.new(f"{reading.column}:{reading.type}")
            given[name] = column(unique, BASE)
            readings[unique] = reading
    base = exp.select().from_(exp.alias_(table(PARSED), BASE, table=True))
    return ParsedRows(base, given, readings, names.new("place"))


def _plain_values(draft: Draft) -> Iterable[tuple[Expr, Reading]]:
    """Yield every value that may be one of the lowest level, with what it is."""
    contract = draft.input.contract
    for field in contract.fields if contract is not None else ():
        if _is_plain(field):
            raw = column(field.name, BASE)
            yield field.cast(raw).value, Reading(field.name, field.type.name)
    for name in draft.asked.get(INPUT, ()):
        for type_name in _PLAIN:
            yield try_cast(column(name, BASE), DATABASE_TYPES[type_name]), Reading(name, type_name)


def _is_plain(field: ContractField) -> bool:
    notation = field.notation
    is_marked = notation.decimal != "." and field.type.name == "number"
    return (
        field.type.name in _PLAIN
        and notation.bare
        and notation.group is None
        and notation.layout is None
        and not is_marked
    )
