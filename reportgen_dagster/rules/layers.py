"""Names for values that are used more than once: each name is a column of a nested SELECT.

What belongs here: giving names, nesting SELECTs. What does not: what a value means (values.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values import DIALECT, column, whole


class Names:
    """Gives out names that differ by more than case, as DuckDB folds it."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """Begin with the names that are taken already."""
        self.taken = {name.lower() for name in taken}

    def new(self, wish: str) -> str:
        """Return the wished name, or the first free one that begins with it."""
        name, number = wish, 1
        while name.lower() in self.taken:
            number += 1
            name = f"{wish}_{number}"
        self.taken.add(name.lower())
        return name


class Layers:
    """Gives names to values that are used more than once; each name is a column of a nested SELECT.

    So a cell is cast once, no expression is written twice, and no expression grows deep.
    """

    def __init__(self) -> None:
        """Begin without names."""
        self.names = Names()
        self.levels: list[dict[str, Expr]] = [{}]
        self._level_of: dict[str, int] = {}
        self._known: dict[str, Expr] = {}

    def base(self, value: Expr, name: str) -> Expr:
        """Name a value that is computed from the files' columns."""
        return self._name(value, name, 0)

    def bind(self, value: Expr, name: str = "value") -> Expr:
        """Name a value, unless it is a name or a literal already."""
        plain = value.this if isinstance(value, (exp.Neg, exp.Cast)) else value
        if isinstance(plain, exp.Column) and plain is not value:
            plain = value
        if isinstance(plain, (exp.Column, exp.Literal, exp.Null, exp.Boolean)):
            return value
        level = max((self._level_of[found.name] for found in value.find_all(exp.Column)), default=0)
        return self._name(value, name, level + 1)

    def _name(self, value: Expr, name: str, level: int) -> Expr:
        key = f"{level} {value.sql(DIALECT)}"
        if key not in self._known:
            unique = self.names.new(name)
            while len(self.levels) <= level:
                self.levels.append({})
            self.levels[level][unique] = value
            self._level_of[unique] = level
            self._known[key] = column(unique)
        return self._known[key]

    def select(self, outputs: Iterable[tuple[str, Expr]], base: exp.Select) -> exp.Select:
        """Return the SELECT of the outputs over all layers; `base` has the FROM of the files."""
        cells = [self._aliased(item) for item in self.levels[0].items()] or [whole(1)]
        inner = base.select(*cells, copy=False)
        for level, bound in enumerate(self.levels[1:]):
            named = [self._aliased(item) for item in bound.items()]
            inner = exp.select(exp.Star(), *named, copy=False).from_(
                inner.subquery(f"layer{level}", copy=False), copy=False
            )
        columns = [self._aliased(item) for item in outputs]
        return exp.select(*columns, copy=False).from_(inner.subquery("cells", copy=False), copy=False)

    @staticmethod
    def _aliased(item: tuple[str, Expr]) -> Expr:
        name, value = item
        return exp.Alias(this=value, alias=exp.to_identifier(name, quoted=True))
