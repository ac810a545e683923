"""Blocks while they are written: the rows of one query, what is computed with them, and what becomes of them.

What belongs here: opening a block over the one before, verdicts on rows, the order of rows, rendering. What does not: what steps
compute (rows.py, relations.py).

A block is rendered after all that follow it, so that it gives only the columns that they use.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.compiling.draft import Draft, table
from reportgen_dagster.rules.compiling.parsed import ParsedRows
from reportgen_dagster.rules.compiling.plan import (
    BROKEN,
    DOUBTFUL,
    DROPPED,
    ERROR,
    FATAL,
    FIELD_SEPARATOR,
    OUTPUT,
    PART_SEPARATOR,
    ROW,
    ROWS,
    STATE,
    WARNED,
    Block,
)
from reportgen_dagster.rules.compiling.scopes import Column, Scope, mapped, once, shown
from reportgen_dagster.rules.values.folding import MOST, reasons_of
from reportgen_dagster.rules.values.layers import BASE, Base, Layers, Names, key_of, sql_text
from reportgen_dagster.rules.values.typed import (
    DIALECT,
    Check,
    Value,
    any_of,
    call,
    case,
    cast,
    column,
    false,
    has_columns,
    is_null,
    is_present,
    negated,
    text,
)

MAX_VALUE_SHOWN = 200
MAX_KEYS = 8  # that order rows from block to block; further ones go into the number of the row
Modify = Callable[[exp.Select], exp.Select]


@dataclass(frozen=True, slots=True)
class SortKey:
    """Something that rows are ordered by, nulls last both ways."""

    value: Expr
    descending: bool = False

    def ordered(self) -> exp.Ordered:
        """Return it as it stands behind ORDER BY."""
        return exp.Ordered(this=self.value, desc=self.descending, nulls_first=False)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What becomes of a row on which a condition is true.

    Attributes:
        condition: The condition.
        state: The state that the row gets.
        drops: It may leave the row out.
        tells: It may make the row an error.
    """

    condition: Expr
    state: Expr
    drops: bool = False
    tells: bool = True


@dataclass(slots=True)
class OpenBlock:
    """The rows of one query.

    Attributes:
        number: Which block it is.
        layers: The values that it computes.
        base: The rows that it begins with.
        scope: The columns after the last step.
        diverts: One row stands for one row of the input.
        row: The number of a row, unless the engine numbers them.
        order: What orders the rows, before their number does.
        step: Path of the step that it begins with.
        scanned_once: The next block reads the table only once.
        holds_all: It gives every column that it offers, whether one is used or not.
        before: The block whose rows it reads, if any.
    """

    number: int
    layers: Layers
    base: Base
    scope: Scope = field(default_factory=Scope)
    diverts: bool = True
    row: Expr | None = None
    order: tuple[SortKey, ...] = ()
    step: str = ""
    scanned_once: bool = True
    holds_all: bool = False
    before: OpenBlock | None = None
    _verdicts: list[_Verdict] = field(default_factory=list)
    _broken: list[tuple[Expr, int]] = field(default_factory=list)
    _warned: list[tuple[Expr, int]] = field(default_factory=list)
    _told: list[tuple[Expr, int]] = field(default_factory=list)
    _offered: dict[str, Expr] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)
    _names: Names = field(default_factory=lambda: Names((ROW, STATE)))
    _extra: list[tuple[str, Expr]] = field(default_factory=list)

    @property
    def table(self) -> str:
        """Return what the rows are called in the next block's query."""
        return ROWS.format(self.number)

    # what becomes of rows

    def broken(self, condition: Expr, rule: int) -> None:
        """Make rows that break a rule of the input's contract rejects."""
        self._broken.append((condition, rule))

    def warned(self, condition: Expr, rule: int) -> None:
        """Count rows that break a rule that only warns."""
        self._warned.append((condition, rule))

    def told(self, condition: Expr, rule: int) -> None:
        """Count rows that break a rule of the output's contract."""
        self._told.append((condition, rule))

    def drop(self, condition: Expr) -> None:
        """Leave rows out."""
        self._verdicts.append(_Verdict(condition, text(DROPPED), drops=True, tells=False))
        self._fold()

    def fail(
        self,
        checks: Sequence[Check],
        rule: Callable[[], int],
        columns: Iterable[Column],
        *,
        letter: str = ERROR,
    ) -> None:
        """Make rows on which a check is true errors.

        Args:
            checks: The checks, in order.
            rule: Gives the number of the rule; called only if there are checks.
            columns: The columns whose values are told.
            letter: Whether it is the row's end only, or the run's.
        """
        if not checks:
            return
        number = rule()
        values = shown(columns, MAX_VALUE_SHOWN)
        for check in checks:
            head = text(f"{letter}{number}{FIELD_SEPARATOR}")
            state = call("concat", head, check.reason, text(FIELD_SEPARATOR), *values)
            self._verdicts.append(_Verdict(check.condition, state))
        self._fold()

    def fatal(self, check: Check, rule: Callable[[], int], columns: Iterable[Column]) -> None:
        """Make rows on which a check is true the end of the run."""
        self.fail((check,), rule, columns, letter=FATAL)

    def _fold(self) -> None:
        """Make many verdicts one, which hands on what became of the row: every level would hand on what each speaks of."""
        found = self._verdicts
        if not self.layers.is_deep or len(found) <= MOST or not any(verdict.tells for verdict in found):
            return
        state = self.layers.bind(case(*((verdict.condition, verdict.state) for verdict in found)), "verdict")
        drops = any(verdict.drops for verdict in found)
        self._verdicts = [_Verdict(is_present(state), state, drops=drops)]

    @property
    def has_state(self) -> bool:
        """Tell whether a row may have a state that is not null."""
        if self.number == 0:
            return bool(self._verdicts or self._broken or self._warned or self._told)
        return bool(self._told) or any(verdict.tells for verdict in self._verdicts)

    def _state(self) -> Expr:
        branches: list[tuple[Expr, Expr]] = []
        if self._broken:
            condition = any_of(condition for condition, _ in self._broken)
            branches.append((condition, _parts(BROKEN, self._broken)))
        branches += [(verdict.condition, verdict.state) for verdict in self._verdicts]
        told = _parts(OUTPUT, self._told) if self._told else None
        state = case(*branches, default=told) if branches else told
        if not self._warned:
            return state if state is not None else cast(exp.Null(), "VARCHAR")
        warned = _parts(WARNED, self._warned)
        return warned if state is None else _not_empty(_joined([warned, state]))

    def _doubts(self, rows: ParsedRows) -> Expr:
        """Return a state that is null or `DROPPED` where the row's state is, and anything else where that is another one."""
        doubtful = text(DOUBTFUL)
        contract = [condition for condition, _ in (*self._broken, *self._warned)]
        told = [condition for condition, _ in self._told]
        branches: list[tuple[Expr, Expr]] = [(any_of(contract), doubtful)] if contract else []
        branches += [
            (verdict.condition, verdict.state if verdict.drops else doubtful) for verdict in self._verdicts
        ]
        branches += [(any_of(told), doubtful)] if told else []
        return case(*((rows.without_texts(condition), state) for condition, state in branches))

    # the columns that the next block gets

    def offer(self, value: Expr, wish: str) -> str:
        """Return the name under which the next block finds a value."""
        key = key_of(value)
        if key not in self._known:
            self._known[key] = self._names.new(value.name if isinstance(value, exp.Column) else wish)
            self._offered[self._known[key]] = value
        return self._known[key]

    def add(self, wish: str, value: Expr) -> str:
        """Give the engine a further column; return its name."""
        name = self._names.new(wish)
        self._extra.append((name, value))
        return name

    # following blocks

    def following(
        self,
        *,
        step: str,
        diverts: bool = False,
        modify: Modify | None = None,
        number: Expr | None = None,
    ) -> OpenBlock:
        """Open the block that reads the rows of this one; it begins with the same columns, number and order.

        Args:
            step: Path of the step that it begins with.
            diverts: One of its rows stands for one row of the input, as one of this block's does.
            modify: Adds to the SELECT that reads the rows: a GROUP BY, an ORDER BY with a LIMIT, further tables.
            number: The numbers of its rows, if they are not those of this block's rows.
        """
        block = OpenBlock(
            self.number + 1, Layers(), self.reading(modify), diverts=diverts, step=step, before=self
        )
        block.row = block.layers.base(number if number is not None else column(ROW, BASE), ROW)
        block.scope = crossed(self, block)
        order = _each_once(self.order)
        block.order = tuple(SortKey(block.take(self, key.value, "key"), key.descending) for key in order)
        return block

    def reading(self, modify: Modify | None) -> Base:
        """Return the SELECT that reads the rows of this block which are kept."""

        def select(_: frozenset[str]) -> exp.Select:
            rows = exp.select().from_(exp.alias_(table(self.table), BASE, table=True), copy=False)
            if self.number and self.has_state:
                rows = rows.where(is_null(column(STATE, BASE)), copy=False)
            return modify(rows) if modify else rows

        return select

    def handed(self, value: Expr, wish: str) -> Expr:
        """Return a value as a column of the rows that the next block begins with."""
        if self.row is not None and key_of(value) == key_of(self.row):
            return column(ROW, BASE)
        return column(self.offer(value, wish), BASE) if has_columns(value) else value

    def order_of_rows(self) -> list[SortKey]:
        """Return what orders the rows that the next block begins with, to the last."""
        keys = [SortKey(self.handed(key.value, "key"), key.descending) for key in self.order]
        return _each_once([*keys, SortKey(column(ROW, BASE))])

    def take(self, before: OpenBlock, value: Expr, wish: str) -> Expr:
        """Return a value of the block before as a value of this one."""
        handed = before.handed(value, wish)
        return self.layers.base(handed, wish) if isinstance(handed, exp.Column) else handed

    def carried(self, before: OpenBlock, column: Column) -> Column:
        """Return a column of the block before as a column of this one."""

        def carry(make: Callable[[], Value]) -> Callable[[], Value]:
            return once(
                lambda: mapped(make(), lambda value, wish: self.take(before, value, wish), column.name)
            )

        return Column(
            column.name,
            column.type,
            column.sources,
            carry(column.value),
            carry(column.cell),
            lambda: self.take(before, column.key(), f"{column.name}_read"),
            column.is_typed,
            carry(column.final),
        )

    def total_order(self) -> list[SortKey]:
        """Return what orders the rows, to the last."""
        return _each_once([*self.order, *([SortKey(self.row)] if self.row is not None else [])])

    def order_by(self, keys: Iterable[SortKey]) -> None:
        """Order the rows by these keys and their number; many keys become the number, as each following block carries them."""
        self.order = tuple(_each_once(keys))
        if len(self.order) > MAX_KEYS:
            order = exp.Order(expressions=[key.ordered() for key in self.total_order()])
            self.row = self.layers.bind(exp.Window(this=call("row_number"), order=order), ROW)
            self.order = ()

    # rendering

    def select(
        self, outputs: Iterable[tuple[str, Expr]], *, in_order: bool, over: ParsedRows | None = None
    ) -> exp.Select:
        """Return the query.

        Args:
            outputs: Its columns; the number of the row and its state come behind them.
            in_order: The rows are handed out in their order.
            over: Rows that it begins with instead of its own.
        """
        columns = [*outputs, *self._extra]
        if self.row is not None:
            columns.append((ROW, self.row))
        where: Expr | None = None
        if self.has_state:
            state = self._doubts(over) if over is not None and over.is_clean else self._state()
            drops = self.number > 0 and any(verdict.drops for verdict in self._verdicts)
            if drops:
                state = self.layers.bind(state, "state")
                where = exp.NullSafeNEQ(this=state, expression=text(DROPPED))
            columns.append((STATE, state))
        else:
            dropped = [verdict.condition for verdict in self._verdicts]
            where = negated(_true_only(any_of(dropped))) if dropped else None
        order = [key.ordered() for key in self.total_order()] if in_order else []
        nothing = [] if columns else [("nothing", false())]
        base, given = (over.base.copy(), over.given) if over is not None else (self.base, {})
        if over is not None:
            columns.append((over.place, self.layers.base(column(over.place, BASE), over.place)))
        return self.layers.select([*columns, *nothing], base, where=where, order=order, given=given)

    def handing(self, used: Container[str], *, over: ParsedRows | None = None) -> exp.Select:
        """Return the query of the columns that the next block uses."""
        names = [name for name in self._offered if self.holds_all or name in used]
        return self.select([(name, self._offered[name]) for name in names], in_order=False, over=over)

    def checked(self, values: Sequence[Expr], *, in_order: bool) -> str:
        """Return a query of further values and, behind them, of every column that the next block may use."""
        named = [(self._names.new(str(place)), value) for place, value in enumerate(values)]
        return sql_text(self.select([*named, *self._offered.items()], in_order=in_order))

    def closed(self, selected: exp.Select) -> Block:
        """Return the block with this query."""
        return Block(
            self.table,
            sql_text(selected, pretty=not self.layers.is_deep),  # deep levels would be mostly indentation
            self.has_state,
            self.diverts,
            self.scanned_once,
            self.step,
        )


def _each_once(keys: Iterable[SortKey]) -> list[SortKey]:
    """Return keys without those that can decide nothing, as they stand further ahead already."""
    found: dict[str, SortKey] = {}
    for key in keys:
        found.setdefault(key_of(key.value), key)
    return list(found.values())


def used_columns(selected: exp.Select) -> frozenset[str]:
    """Return the columns of the block before that a query uses."""
    return frozenset(found.name for found in selected.find_all(exp.Column) if found.table == BASE)


def crossed(before: OpenBlock, block: OpenBlock) -> Scope:
    """Return the columns of the block before as columns of this one, each taken only if it is used."""
    columns: Mapping[str, Column] = {column.name: block.carried(before, column) for column in before.scope}
    more = before.scope.more

    def find(name: str) -> Column | None:
        found = more(name) if more else None
        return block.carried(before, found) if found else None

    return Scope(columns, find if more else None, before.scope.families)


def evaluated(draft: Draft, block: OpenBlock, path: tuple[str | int, ...]) -> Value:
    """Return what the expression at a path is worth; rows on which it fails get their verdict."""
    expression = draft.expression(path)
    value = draft.evaluator(block.layers, block.scope, expression).evaluate(expression.tree)
    judge(draft, block, path, value.checks)
    return value.without_checks()


def judge(draft: Draft, block: OpenBlock, path: tuple[str | int, ...], checks: Sequence[Check]) -> None:
    """Give the rows on which the expression at a path fails their verdict."""
    expression = draft.expression(path)
    column_name = str(path[-1]) if path[-2] in ("derive", "measures", "columns", "values") else ""
    columns = [found for found in map(block.scope.find, expression.columns) if found is not None]
    block.fail(checks, lambda: draft.rule(path, column_name, expression.text), columns)
    for check in checks:
        constant = block.layers.constant(check.condition)
        if constant is not None:
            told = f"this fails on every row: {' or '.join(reasons_of(block.layers, check.reason))}"
            problem = draft.ruleset.problem_in(expression, told)
            draft.constant_checks.append((constant.sql(DIALECT), problem))


def _true_only(condition: Expr) -> Expr:
    return call("coalesce", condition, false())


def _parts(letter: str, rules: Sequence[tuple[Expr, int]]) -> Expr:
    parts = [case((condition, text(f"{letter}{number}"))) for condition, number in rules]
    return parts[0] if len(parts) == 1 else _not_empty(_joined(parts))


def _joined(parts: Sequence[Expr]) -> Expr:
    return call("concat_ws", text(PART_SEPARATOR), *parts)


def _not_empty(value: Expr) -> Expr:
    return call("nullif", value, text(""))
