"""Random steps over random tables: the step as it is written, and the state that the oracle has behind it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import strategies as st

from tests.properties import oracle
from tests.properties.expressions import DATES, DECIMALS, TEXTS, expressions, quoted, written
from tests.properties.oracle import AGGREGATES, LINE, WINDOWS, State

INPUT = {
    "id": "integer",
    "n": "integer",
    "d": "decimal",
    "t": "text",
    "u": "text",
    "w": "date",
    "b": "boolean",
}
ONE = {"k": "text", "m": "integer", "label": "text"}  # each key once
MANY = {"k": "text", "x": "integer", "s": "text"}  # keys as often as they like
_CELLS: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-9, 9),
    "decimal": DECIMALS,
    "text": TEXTS,
    "date": DATES,
    "boolean": st.booleans(),
}
_FIELDS = {"text": "string", "decimal": "decimal"}


@dataclass(frozen=True)
class Step:
    """A step as it stands in a rules file, and what the oracle does for it."""

    document: dict[str, Any]
    apply: Callable[[State], State]


@st.composite
def tables(draw: st.DrawFn, schema: Mapping[str, str], *, key: str = "", most: int = 8) -> pd.DataFrame:
    """Draw a table; `key` is a column without blanks whose values differ."""
    columns: dict[str, list[Any]] = {}
    size = draw(st.integers(0, most))
    if key:
        columns[key] = draw(st.lists(TEXTS, max_size=most, unique=True))
        size = len(columns[key])
    for name, kind in schema.items():
        cells = st.one_of(st.none(), *([_CELLS[kind]] * 4))
        columns.setdefault(name, draw(st.lists(cells, min_size=size, max_size=size)))
    return pd.DataFrame({name: pd.Series(columns[name], dtype=object) for name in schema}, columns=[*schema])


def contract(schema: Mapping[str, str]) -> dict[str, Any]:
    """Return the Table Schema of a table."""
    fields = []
    for name, kind in schema.items():
        precision = {"precision": 12, "scale": 2} if kind == "decimal" else {}
        fields.append({"name": name, "type": _FIELDS.get(kind, kind), **precision})
    return {"fields": fields}


def write_csv(path: Path, frame: pd.DataFrame) -> Path:
    """Write a table as an input file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(frame.columns)
        writer.writerows([written(cell) for cell in row] for row in frame.itertuples(index=False))
    return path


def begin(frame: pd.DataFrame) -> State:
    """Return the state before the first step."""
    numbered = frame.copy()
    numbered[LINE] = range(2, len(frame) + 2)
    return State(numbered.astype(object).where(numbered.notna(), None), dict(INPUT))


@st.composite
def steps(draw: st.DrawFn, state: State, one: pd.DataFrame, many: pd.DataFrame, number: int) -> Step:
    """Draw a step that fits a state."""
    kind = draw(st.sampled_from(sorted(_DRAWN)))
    return _DRAWN[kind](_Draw(draw, state, one, many, number))


class _Draw:
    """What a step is drawn from."""

    def __init__(self, draw: Any, state: State, one: pd.DataFrame, many: pd.DataFrame, number: int) -> None:
        self.draw, self.state, self.one, self.many, self.number = draw, state, one, many, number

    @property
    def names(self) -> list[str]:
        return [*self.state.schema]

    def some(self, names: list[str], least: int = 1, most: int = 3) -> list[str]:
        return self.draw(st.lists(st.sampled_from(names), min_size=least, max_size=most, unique=True))

    def pick(self, options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def of(self, kinds: tuple[str, ...]) -> list[str]:
        return [name for name, kind in self.state.schema.items() if kind in kinds]

    def keys(self, least: int = 1) -> list[tuple[str, bool]]:
        return [(name, self.draw(st.booleans())) for name in self.some(self.names, least)]

    def new(self, letter: str) -> str:
        return f"{letter}{self.number}"

    def calls(self, table: Mapping[str, tuple[tuple[str, ...], str, Any]]) -> dict[str, tuple[str, str]]:
        fitting = [(call, name) for call, (kinds, _, _) in table.items() for name in self.of(kinds)]
        chosen = (
            self.draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=3, unique=True))
            if fitting
            else []
        )
        return {f"{self.new('g')}_{place}": call for place, call in enumerate(chosen)}


def _written_keys(keys: list[tuple[str, bool]]) -> list[str]:
    return [f"-{name}" if descending else name for name, descending in keys]


def _written_calls(calls: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    return {name: call.format(quoted(column)) for name, (call, column) in calls.items()}


def _derive(made: _Draw) -> Step:
    kind = made.pick(["integer", "decimal", "text", "date", "boolean"])
    spec = made.draw(expressions(made.state.schema, kind))
    name = made.pick([made.new("c"), *made.names[:2]])
    return Step({"derive": {name: spec.text}}, lambda state: oracle.derive(state, {name: spec}))


def _filter(made: _Draw) -> Step:
    spec = made.draw(expressions(made.state.schema, "boolean"))
    return Step({"filter": spec.text}, lambda state: oracle.filtered(state, spec))


def _select(made: _Draw) -> Step:
    names = made.some(made.names, 1, 6)
    new = made.new("r")
    mapping = {new if place == 0 else name: name for place, name in enumerate(names)}
    return Step({"select": mapping}, lambda state: oracle.chosen(state, mapping))


def _rename(made: _Draw) -> Step:
    old, new = made.pick(made.names), made.new("r")
    mapping = {new if name == old else name: name for name in made.names}
    return Step({"rename": {old: new}}, lambda state: oracle.chosen(state, mapping))


def _drop(made: _Draw) -> Step:
    gone = made.some(made.names, 1, max(1, len(made.names) - 1))
    kept = [name for name in made.names if name not in gone] or made.names[:1]
    gone = [name for name in made.names if name not in kept]
    if not gone:
        return _select(made)
    return Step({"drop": gone}, lambda state: oracle.chosen(state, {name: name for name in kept}))


def _sort(made: _Draw) -> Step:
    keys = made.keys()
    return Step({"sort": _written_keys(keys)}, lambda state: oracle.ordered(state, keys))


def _limit(made: _Draw) -> Step:
    count = made.draw(st.integers(0, 6))
    return Step({"limit": count}, lambda state: oracle.limited(state, count))


def _aggregate(made: _Draw) -> Step:
    by, calls = made.some(made.names, 0, 2), made.calls(AGGREGATES)
    if not calls:
        return _sort(made)
    body = {"by": by, "measures": _written_calls(calls)}
    return Step({"aggregate": body}, lambda state: oracle.aggregated(state, by, calls))


def _distinct(made: _Draw) -> Step:
    names = made.pick([None, made.some(made.names)])
    return Step({"distinct": names or True}, lambda state: oracle.distinct(state, names))


def _top(made: _Draw) -> Step:
    count, keys, per = made.draw(st.integers(1, 3)), made.keys(), made.some(made.names, 0, 2)
    body = {"n": count, "by": _written_keys(keys), "per": per}
    return Step({"top": body}, lambda state: oracle.top(state, count, keys, per))


def _window(made: _Draw) -> Step:
    partition, keys, calls = made.some(made.names, 0, 2), made.keys(), made.calls(WINDOWS)
    if not calls:
        return _sort(made)
    body = {"partition_by": partition, "order_by": _written_keys(keys), "columns": _written_calls(calls)}
    return Step({"window": body}, lambda state: oracle.windowed(state, partition, keys, calls))


def _pivot(made: _Draw) -> Step:
    texts, by = made.of(("text",)), made.some(made.names, 1, 2)
    calls = [call for call in made.calls(AGGREGATES).values() if call[1] not in by]
    columns = [name for name in texts if name not in by]
    if not calls or not columns:
        return _sort(made)
    column, (call, measured) = made.pick(columns), calls[0]
    body = {"by": by, "column": column, "values": call.format(quoted(measured))}
    return Step({"pivot": body}, lambda state: oracle.pivoted(state, by, column, call, measured))


def _unpivot(made: _Draw) -> Step:
    kind = made.pick(["integer", "text"])
    names = made.of((kind,))
    if not names:
        return _sort(made)
    columns, name, value = made.some(names), made.new("p"), made.new("v")
    body = {"columns": columns, "name": name, "value": value}
    return Step({"unpivot": body}, lambda state: oracle.unpivoted(state, columns, name, value))


def _append(made: _Draw) -> Step:
    pairs = {kind: made.of((kind,)) for kind in ("text", "integer")}
    columns = {names[0]: {"text": "s", "integer": "x"}[kind] for kind, names in pairs.items() if names}
    if not columns:
        return _sort(made)
    body = {"reference": "many", "columns": columns}
    return Step({"append": body}, lambda state: oracle.appended(state, made.many, columns))


def _lookup(made: _Draw) -> Step:
    texts = made.of(("text",))
    if not texts:
        return _sort(made)
    match, missing = {made.pick(texts): "k"}, made.pick(["default", "default", "reject", "drop", "fail"])
    label, number = made.new("l"), made.new("m")
    take, defaults = {label: ("label", "text"), number: ("m", "integer")}, {number: 7, label: "none"}
    body = {"reference": "one", "match": match, "take": {label: "label", number: "m"}, "missing": missing}
    if missing == "default":
        body["defaults"] = defaults
    else:
        defaults = {}
    return Step(
        {"lookup": body}, lambda state: oracle.looked_up(state, made.one, match, take, defaults, missing)
    )


def _join(made: _Draw) -> Step:
    texts = made.of(("text",))
    if not texts:
        return _sort(made)
    on, how = {made.pick(texts): "k"}, made.pick(["inner", "left", "full", "semi", "anti"])
    taken = {} if how in ("semi", "anti") else {made.new("x"): ("x", "integer"), made.new("s"): ("s", "text")}
    body: dict[str, Any] = {"reference": "many", "match": on, "how": how}
    if taken:
        body["take"] = {new: old for new, (old, _) in taken.items()}
    return Step({"join": body}, lambda state: oracle.joined(state, made.many, on, how, taken))


_DRAWN: dict[str, Callable[[_Draw], Step]] = {
    "aggregate": _aggregate,
    "append": _append,
    "derive": _derive,
    "distinct": _distinct,
    "drop": _drop,
    "filter": _filter,
    "join": _join,
    "limit": _limit,
    "lookup": _lookup,
    "pivot": _pivot,
    "rename": _rename,
    "select": _select,
    "sort": _sort,
    "top": _top,
    "unpivot": _unpivot,
    "window": _window,
}
