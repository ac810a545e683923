"""What steps mean, in plain pandas: slow, obvious, and written from the language's contract alone.

A table is a frame of objects (int, Decimal, str, bool, date, None) in its rows' order. What does not belong here: drawing random
steps (`steps.py`), expressions (`expressions.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from tests.properties.expressions import LARGEST, RowError, Spec

LINE = "_line"


class RunFails(Exception):  # noqa: N818 - what happens, not an error of the oracle
    """The run as a whole must fail."""


@dataclass(frozen=True)
class State:
    """A table between two steps.

    Attributes:
        frame: The rows; the column LINE, as long as one row stands for one row of the input, is the line it came from.
        schema: The columns and their types.
        one_to_one: Whether one row stands for one row of the input.
        rejects: Lines of the rows that were rejected.
    """

    frame: pd.DataFrame
    schema: dict[str, str]
    one_to_one: bool = True
    rejects: tuple[int, ...] = field(default=())

    def with_rows(self, frame: pd.DataFrame, schema: Mapping[str, str] | None = None) -> State:
        """Return the state with other rows, one for each that stays of the input."""
        return replace(self, frame=frame, schema=dict(schema or self.schema))

    def grouped(self, rows: Sequence[Mapping[str, Any]], schema: Mapping[str, str]) -> State:
        """Return the state behind a step whose rows stand for no row of the input."""
        frame = pd.DataFrame([dict(row) for row in rows], columns=[*schema], dtype=object)
        return replace(self, frame=_objects(frame), schema=dict(schema), one_to_one=False)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as mappings."""
        return self.frame.to_dict("records")


def _objects(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(object).where(frame.notna(), None)


def evaluated(state: State, specs: Mapping[str, Spec]) -> tuple[State, list[dict[str, Any]]]:
    """Compute expressions on each row, one after the other; a row on which one fails is rejected, or fails the run."""
    kept, found, rejects = [], [], list(state.rejects)
    for position, row in enumerate(state.rows()):
        try:
            values = {name: spec.value(row) for name, spec in specs.items()}
        except RowError:
            if not state.one_to_one:
                raise RunFails from None
            rejects.append(row[LINE])
            continue
        kept.append(position)
        found.append(values)
    return replace(state, frame=state.frame.iloc[kept], rejects=tuple(rejects)), found


def derive(state: State, specs: Mapping[str, Spec]) -> State:
    """Add or replace columns; a later expression sees the ones before it."""
    for name, spec in specs.items():
        state, found = evaluated(state, {name: spec})
        frame = state.frame.copy()
        frame[name] = pd.Series([row[name] for row in found], index=frame.index, dtype=object)
        order = [*state.schema, *([name] if name not in state.schema else [])]
        state = state.with_rows(frame[_with_line(state, order)], {**state.schema, name: spec.type})
    return state


def _with_line(state: State, names: Sequence[str]) -> list[str]:
    return [*names, *([LINE] if state.one_to_one else [])]


def filtered(state: State, spec: Spec) -> State:
    """Keep the rows on which a condition is true."""
    state, found = evaluated(state, {"kept": spec})
    return state.with_rows(
        state.frame.iloc[[place for place, row in enumerate(found) if row["kept"] is True]]
    )


def chosen(state: State, names: Mapping[str, str]) -> State:
    """Keep some columns, under new names."""
    renamed = {new: state.frame[old] for new, old in names.items()}
    if state.one_to_one:
        renamed[LINE] = state.frame[LINE]
    frame = pd.DataFrame(renamed, index=state.frame.index, dtype=object)
    return state.with_rows(frame, {new: state.schema[old] for new, old in names.items()})


def _order(frame: pd.DataFrame, keys: Sequence[tuple[str, bool]]) -> list[int]:
    """Return positions in the order of keys (name, whether descending), nulls last, stable."""
    positions = [*range(len(frame))]
    for name, descending in reversed(keys):
        cells = frame[name].tolist()
        present = [place for place in positions if cells[place] is not None]
        present.sort(key=lambda place: cells[place], reverse=descending)
        if descending:  # reverse keeps equal ones in their order, as Python sorts
            present = sorted(
                [place for place in positions if cells[place] is not None],
                key=lambda place: cells[place],
                reverse=True,
            )
        positions = present + [place for place in positions if cells[place] is None]
    return positions


def ordered(state: State, keys: Sequence[tuple[str, bool]]) -> State:
    """Sort, nulls last both ways."""
    return state.with_rows(state.frame.iloc[_order(state.frame, keys)])


def limited(state: State, count: int) -> State:
    """Keep the first rows."""
    return state.with_rows(state.frame.head(count))


def _groups(frame: pd.DataFrame, by: Sequence[str]) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Return the groups in the order of their keys, nulls last; each keeps the order of its rows."""
    if not by:
        return [((), frame)]
    keys = [*zip(*(frame[name].tolist() for name in by), strict=True)]
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    ranked = sorted(places, key=lambda key: tuple((one is None, "" if one is None else one) for one in key))
    return [(key, frame.iloc[places[key]]) for key in ranked]


def _present(frame: pd.DataFrame, name: str) -> list[Any]:
    return [cell for cell in frame[name].tolist() if cell is not None]


def _summed(cells: Sequence[Any]) -> Any:
    if not cells:
        return None
    total = sum(cells[1:], cells[0])
    if isinstance(total, int) and abs(total) > LARGEST:
        raise RunFails
    return total


# The aggregates that are drawn: for which types of a column, of what type, and what of a group's column.
AGGREGATES: dict[str, tuple[tuple[str, ...], str, Callable[[pd.DataFrame, str], Any]]] = {
    "sum({})": (("integer", "decimal"), "", lambda rows, name: _summed(_present(rows, name))),
    "min({})": (
        ("integer", "decimal", "text", "date"), "", lambda rows, name: min(_present(rows, name), default=None)
    ),
    "max({})": (
        ("integer", "decimal", "text", "date"), "", lambda rows, name: max(_present(rows, name), default=None)
    ),
    "count({})": (
        ("integer", "decimal", "text", "date", "boolean"), "integer", lambda rows, name: len(_present(rows, name))
    ),
    "count(distinct {})": (
        ("integer", "decimal", "text", "date"), "integer", lambda rows, name: len(set(_present(rows, name)))
    ),
    "first({})": (
        ("integer", "text", "date"), "", lambda rows, name: rows[name].iloc[0] if len(rows) else None
    ),
    "last({})": (
        ("integer", "text", "date"), "", lambda rows, name: rows[name].iloc[-1] if len(rows) else None
    ),
    "string_agg({}, '/')": (("text",), "", lambda rows, name: "/".join(_present(rows, name)) or None),
}  # fmt: skip


def aggregated(state: State, by: Sequence[str], measures: Mapping[str, tuple[str, str]]) -> State:
    """Group; a measure is a key of AGGREGATES and a column."""
    schema = {name: state.schema[name] for name in by}
    for name, (call, column) in measures.items():
        schema[name] = AGGREGATES[call][1] or state.schema[column]
    rows = [
        {
            **dict(zip(by, key, strict=True)),
            **{name: AGGREGATES[call][2](group, column) for name, (call, column) in measures.items()},
        }
        for key, group in _groups(state.frame, by)
    ]
    return state.grouped(rows, schema)


def distinct(state: State, names: Sequence[str] | None) -> State:
    """Keep the first row of each combination."""
    keys = [*zip(*(state.frame[name].tolist() for name in names or state.schema), strict=True)]
    seen: dict[tuple[Any, ...], int] = {}
    for place, key in enumerate(keys):
        seen.setdefault(key, place)
    frame = state.frame.iloc[sorted(seen.values())]
    return replace(state, frame=frame[[*state.schema]], one_to_one=False)


def top(state: State, count: int, keys: Sequence[tuple[str, bool]], per: Sequence[str]) -> State:
    """Keep the first rows of each group in an order: groups in the order of `per`, rows in theirs."""
    parts = [group.iloc[_order(group, keys)].head(count) for _, group in _groups(state.frame, per)]
    frame = pd.concat(parts) if parts else state.frame.head(0)
    return replace(state, frame=frame[[*state.schema]], one_to_one=False)


def windowed(
    state: State,
    partition: Sequence[str],
    keys: Sequence[tuple[str, bool]],
    columns: Mapping[str, tuple[str, str]],
) -> State:
    """Add columns computed over partitions; rows stay in their order."""
    frame = state.frame.reset_index(drop=True)
    schema = dict(state.schema)
    for name, (call, column) in columns.items():
        cells: dict[int, Any] = {}
        for _, group in _groups(frame, partition):
            ordered_group = group.iloc[_order(group, keys)]
            values = WINDOWS[call][2](ordered_group, column, keys)
            cells.update(zip(ordered_group.index, values, strict=True))
        schema[name] = WINDOWS[call][1] or state.schema[column]
        frame[name] = pd.Series([cells[place] for place in frame.index], index=frame.index, dtype=object)
    return replace(state, frame=frame[[*schema]], schema=schema, one_to_one=False)


def _ranks(rows: pd.DataFrame, _: str, keys: Sequence[tuple[str, bool]]) -> list[int]:
    told: list[int] = []
    before: tuple[Any, ...] | None = None
    for place, key in enumerate(zip(*(rows[name].tolist() for name, _ in keys), strict=True)):
        told.append(told[-1] if key == before else place + 1)
        before = key
    return told


def _running(rows: pd.DataFrame, name: str, _: object) -> list[Any]:
    cells = rows[name].tolist()
    return [_summed([cell for cell in cells[: place + 1] if cell is not None]) for place in range(len(cells))]


WINDOWS: dict[str, tuple[tuple[str, ...], str, Callable[..., list[Any]]]] = {
    "row_number()": (("integer", "text"), "integer", lambda rows, *_: [*range(1, len(rows) + 1)]),
    "rank()": (("integer", "text"), "integer", _ranks),
    "lag({})": (("integer", "text", "date"), "", lambda rows, name, _: [None, *rows[name].tolist()][: len(rows)]),
    "lead({})": (("integer", "text"), "", lambda rows, name, _: [*rows[name].tolist()[1:], None][: len(rows)]),
    "running_sum({})": (("integer", "decimal"), "", _running),
    "sum({})": (("integer", "decimal"), "", lambda rows, name, _: [_summed(_present(rows, name))] * len(rows)),
    "count({})": (("text", "date"), "integer", lambda rows, name, _: [len(_present(rows, name))] * len(rows)),
}  # fmt: skip


def pivoted(state: State, by: Sequence[str], column: str, call: str, measured: str) -> State:
    """Make a column of each value of a column, sorted; a null makes none."""
    values = sorted(set(_present(state.frame, column)))
    names = [name.lower() for name in (*by, *values)]
    if len(set(names)) < len(names):  # two columns of one name, but for case
        raise RunFails
    schema = {name: state.schema[name] for name in by}
    schema |= dict.fromkeys(values, AGGREGATES[call][1] or state.schema[measured])
    rows = []
    for key, group in _groups(state.frame, by):
        row = dict(zip(by, key, strict=True))
        for value in values:
            places = [place for place, cell in enumerate(group[column]) if cell == value]
            row[value] = AGGREGATES[call][2](group.iloc[places], measured)
        rows.append(row)
    return state.grouped(rows, schema)


def unpivoted(state: State, columns: Sequence[str], name: str, value: str) -> State:
    """Make a row of each of some columns, in their order, row by row."""
    rest = [column for column in state.schema if column not in columns]
    rows = [
        {**{column: row[column] for column in rest}, name: column, value: row[column]}
        for row in state.rows()
        for column in columns
    ]
    schema = {
        **{column: state.schema[column] for column in rest},
        name: "text",
        value: state.schema[columns[0]],
    }
    return state.grouped(rows, schema)


def appended(state: State, other: pd.DataFrame, columns: Mapping[str, str]) -> State:
    """Put rows of another table behind; a column that it lacks is null."""
    rows = [{name: row[name] for name in state.schema} for row in state.rows()]
    rows += [
        {name: row[columns[name]] if name in columns else None for name in state.schema}
        for row in other.to_dict("records")
    ]
    return state.grouped(rows, state.schema)


def looked_up(
    state: State,
    other: pd.DataFrame,
    match: Mapping[str, str],
    take: Mapping[str, tuple[str, str]],
    defaults: Mapping[str, Any],
    missing: str,
) -> State:
    """Enrich each row by the one row of another table with its key; a blank key matches nothing."""
    rows, rejects = [], list(state.rejects)
    by_key = {tuple(row[name] for name in match.values()): row for row in other.to_dict("records")}
    for row in state.rows():
        key = tuple(row[name] for name in match)
        found = None if None in key else by_key.get(key)
        if found is None and missing == "drop":
            continue
        if found is None and missing in ("reject", "fail"):
            if missing == "fail" or not state.one_to_one:
                raise RunFails
            rejects.append(row[LINE])
            continue
        taken = {
            new: found[old] if found is not None else defaults.get(new) for new, (old, _) in take.items()
        }
        rows.append({**row, **taken})
    schema = {**state.schema, **{new: kind for new, (_, kind) in take.items()}}
    frame = pd.DataFrame(rows, columns=_with_line(state, [*schema]), dtype=object)
    return replace(state, frame=_objects(frame), schema=schema, rejects=tuple(rejects))


def joined(
    state: State, other: pd.DataFrame, on: Mapping[str, str], how: str, take: Mapping[str, tuple[str, str]]
) -> State:
    """Join, left rows in their order, then right rows in theirs; a blank key matches nothing."""
    others = other.to_dict("records")
    rows: list[dict[str, Any]] = []
    used: set[int] = set()
    for row in state.rows():
        key = tuple(row[name] for name in on)
        places = [
            place
            for place, candidate in enumerate(others)
            if None not in key and tuple(candidate[name] for name in on.values()) == key
        ]
        used.update(places)
        if how in ("semi", "anti"):
            rows += [row] if bool(places) == (how == "semi") else []
            continue
        rows += [{**row, **{new: others[place][old] for new, (old, _) in take.items()}} for place in places]
        if not places and how in ("left", "full"):
            rows.append({**row, **dict.fromkeys(take)})
    if how in ("semi", "anti"):
        frame = pd.DataFrame(rows, columns=_with_line(state, [*state.schema]), dtype=object)
        return state.with_rows(_objects(frame))
    if how == "full":
        for place, candidate in enumerate(others):
            if place not in used:
                row = dict.fromkeys(state.schema)
                row |= {name: candidate[right] for name, right in on.items()}
                rows.append({**row, **{new: candidate[old] for new, (old, _) in take.items()}})
    return state.grouped(rows, {**state.schema, **{new: kind for new, (_, kind) in take.items()}})
