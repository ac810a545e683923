"""Cells that the engine may read itself, in bulk, where the first block would compute nothing of a text but its plain value.

What belongs here: which values of the first block are such, and the block's query over rows that have them as columns. What does
not: reading (engine/).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.contract import ContractField
from reportgen_dagster.contracts.types import TypeName
from reportgen_dagster.rules.compiling.draft import Draft, table
from reportgen_dagster.rules.compiling.file_columns import DATABASE_TYPES
from reportgen_dagster.rules.compiling.plan import CLEAN, INPUT, PARSED, ParsedInput, ParsedQuery, Reading
from reportgen_dagster.rules.values.layers import BASE, Layers, Names, key_of, sql_text
from reportgen_dagster.rules.values.typed import column, try_cast

_PLAIN: tuple[TypeName, ...] = ("integer", "number", "date")


@dataclass(frozen=True, slots=True)
class ParsedRows:
    """The rows of the input with values that were read already.

    Attributes:
        given: For names at the lowest level the column that has their value.
        readings: What these columns hold, by name.
        present: For names of texts at the lowest level the name of a value that is null where the text is.
        place: The column that numbers the rows.
        is_clean: They are for a query that only tells which rows are doubtful.
    """

    given: Mapping[str, Expr]
    readings: Mapping[str, Reading]
    present: Mapping[str, str]
    place: str
    is_clean: bool = False

    @property
    def table(self) -> str:
        """Return what the rows are called."""
        return CLEAN if self.is_clean else PARSED

    @property
    def base(self) -> exp.Select:
        """Return the FROM of the rows."""
        return exp.select().from_(exp.alias_(table(self.table), BASE, table=True))

    @property
    def clean(self) -> ParsedRows:
        """Return the same rows for a query that only tells which of them are doubtful."""
        return replace(self, is_clean=True)

    def without_texts(self, condition: Expr) -> Expr:
        """Return a condition that asks values whether texts are null: every text is of its type."""
        condition = condition.copy()
        for found in condition.find_all(exp.Is):
            tested = found.this
            if isinstance(tested, exp.Column) and not tested.table and tested.name in self.present:
                tested.replace(column(self.present[tested.name]))
        return condition

    def query(self, selects: Sequence[exp.Select]) -> ParsedQuery:
        """Return queries over the rows: the block's own, and perhaps the one of texts."""
        used = [
            found.name for select in selects for found in select.find_all(exp.Column) if found.table == BASE
        ]
        names = [name for name in dict.fromkeys(used) if name != self.place]
        sql, text_sql = (*map(sql_text, selects), "")[:2]
        return ParsedQuery(self.table, (*names, self.place), sql, text_sql)

    def input(self, full: ParsedQuery, clean: ParsedQuery | None) -> ParsedInput:
        """Return what the engine is told of these queries."""
        used = dict.fromkeys((*full.columns, *(clean.columns if clean is not None else ())))
        values = {name: self.readings[name] for name in used if name in self.readings}
        texts = tuple(name for name in used if name not in (*self.readings, self.place))
        return ParsedInput(texts, values, self.place, full, clean)


def parsed_rows(draft: Draft, layers: Layers) -> ParsedRows:
    """Return the rows that the first block may begin with instead of the input's texts.

    Args:
        draft: The plan.
        layers: Of the first block.
    """
    plain = {key_of(value): reading for value, reading in _plain_values(draft)}
    names = Names(draft.input.columns or ())
    texts = {value.name: name for name, value in layers.lowest.items() if isinstance(value, exp.Column)}
    given, readings, present = {}, {}, {}
    for name, value in layers.lowest.items():
        reading = plain.get(key_of(value))
        if reading is not None:
            unique = names.new(f"{reading.column}:{reading.type}")
            given[name] = column(unique, BASE)
            readings[unique] = reading
            if reading.column in texts:
                present[texts[reading.column]] = name
    return ParsedRows(given, readings, present, names.new("place"))


def _plain_values(draft: Draft) -> Iterator[tuple[Expr, Reading]]:
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
