"""Which rows of a block stay, which are left out and which are rejects, judged by their states, whole batches at a time.

What belongs here: reading states, the first row of each unique key, counts and a few samples of each broken rule. What
does not: where the batches come from (blocks.py), what a broken rule means for the run (verdict.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from reportgen_dagster.engine.spool import Spool
from reportgen_dagster.rules.compiling.plan import (
    BROKEN,
    DROPPED,
    ERROR,
    FATAL,
    FIELD_SEPARATOR,
    OUTPUT,
    PART_SEPARATOR,
    ROW,
    WARNED,
)

SAMPLES = 5
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]

_REJECTING = f"(?:^|{PART_SEPARATOR})[{BROKEN}{ERROR}{FATAL}]"
_DROPPING = f"(?:^|{PART_SEPARATOR}){DROPPED}(?:{PART_SEPARATOR}|$)"
_OF_STEPS = f"(?:^|{PART_SEPARATOR})[{DROPPED}{ERROR}{FATAL}{OUTPUT}][^{PART_SEPARATOR}]*"
_HEAD = re.compile(f"([{BROKEN}{ERROR}{FATAL}{WARNED}{OUTPUT}])([0-9]+)")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a row's state.

    Attributes:
        letter: What it is, as in plan.py.
        rule: Number of the rule.
        reason: Why the row failed; empty for contracts.
        values: With which values; empty for contracts.
    """

    letter: str
    rule: int
    reason: str = ""
    values: str = ""


def parts_of(state: str) -> Iterator[Part]:
    """Read a state; what a cell smuggled in is skipped."""
    for text in state.split(PART_SEPARATOR):
        head, _, rest = text.partition(FIELD_SEPARATOR)
        if found := _HEAD.fullmatch(head):
            reason, _, values = rest.partition(FIELD_SEPARATOR)
            yield Part(found[1], int(found[2]), reason, values)


@dataclass(slots=True)
class Finding:
    """What broke one rule.

    Attributes:
        letter: What breaking it means, as in plan.py.
        rule: Number of the rule.
        count: On how many rows.
        rows: Numbers of the first few rows, from 0 among those that can be read; for the output's contract from 1 in the report.
        parts: Their parts of the state.
        cells: What stands in the rule's column on these rows; only for the output's contract.
    """

    letter: str
    rule: int
    count: int = 0
    rows: list[int] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)


class Findings:
    """What broke which rule, over all batches."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}

    def __iter__(self) -> Iterator[Finding]:
        return iter(sorted(self._found.values(), key=lambda one: (one.rule, one.letter)))

    def of(self, letters: str) -> list[Finding]:
        """Return the findings with one of these letters."""
        return [finding for finding in self if finding.letter in letters]

    def rows(self, letters: str) -> set[int]:
        """Return the numbers of the first few rows of the findings with one of these letters."""
        return {row for finding in self.of(letters) for row in finding.rows}

    def add(
        self,
        states: pa.Array,
        rows: Numbers,
        report_rows: Numbers,
        batch: pa.RecordBatch,
        columns: Mapping[int, str],
    ) -> None:
        """Count states.

        Args:
            states: Of some rows of a batch.
            rows: Number of each of these rows.
            report_rows: Its number in the report, if this is the last block.
            batch: Only these rows of the batch.
            columns: The output's column by the number of a rule.
        """
        split = pc.split_pattern(states, PART_SEPARATOR)
        parts, owners = pc.list_flatten(split), pc.list_parent_indices(split)
        heads = pc.list_element(pc.split_pattern(parts, FIELD_SEPARATOR, max_splits=1), 0)
        for entry in pc.value_counts(heads).to_pylist():
            match = _HEAD.fullmatch(entry["values"])
            if match is None:
                continue
            finding = self._found.setdefault(entry["values"], Finding(match[1], int(match[2])))
            finding.count += entry["counts"]
            missing = SAMPLES - len(finding.rows)
            if missing > 0:
                places = np.flatnonzero(_as_flags(pc.equal(heads, entry["values"])))[:missing]
                numbers = report_rows if finding.letter == OUTPUT else rows
                self._sample(
                    finding, parts.take(places), numbers, owners.take(places).to_numpy(), batch, columns
                )

    @staticmethod
    def _sample(
        finding: Finding,
        parts: pa.Array,
        rows: Numbers,
        owners: Numbers,
        batch: pa.RecordBatch,
        columns: Mapping[int, str],
    ) -> None:
        finding.rows += rows[owners].tolist()
        finding.parts += [part for text in parts.to_pylist() for part in parts_of(text)]
        name = columns.get(finding.rule)
        if finding.letter == OUTPUT and name in batch.schema.names:
            finding.cells += [
                "" if cell is None else str(cell) for cell in batch.column(name).take(owners).to_pylist()
            ]


class FirstOfKeys:
    """Lets the first row of each repeated key pass, in the order of the batches."""

    def __init__(self, rule: int, count: int, *, only_counts: bool = False) -> None:
        """Begin.

        Args:
            rule: Number of the rule that later rows of the key break.
            count: How many repeated keys there are.
            only_counts: These rows stay all the same.
        """
        self.rejects = not only_counts
        self.part = f"{WARNED if only_counts else BROKEN}{rule}"
        self._seen: Flags = np.zeros(count, dtype=bool)

    def repeated(self, numbers: pa.Array) -> Flags | None:
        """Tell which rows of the next batch have a key that was there before; None if none has."""
        if numbers.null_count == len(numbers):
            return None
        places = np.flatnonzero(_as_flags(numbers.is_valid()))
        found = numbers.drop_null().to_numpy()
        _, firsts = np.unique(found, return_index=True)
        is_first: Flags = np.zeros(len(found), dtype=bool)
        is_first[firsts] = ~self._seen[found[firsts]]
        self._seen[found] = True
        flags: Flags = np.zeros(len(numbers), dtype=bool)
        flags[places[~is_first]] = True
        return flags


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns the batches of a block have, in this order.

    Attributes:
        columns: How many are the table's own.
        keys: The numbers of repeated keys, one column each.
        has_row: The number of the row.
        has_state: The state.
    """

    columns: int
    keys: Sequence[FirstOfKeys] = ()
    has_row: bool = False
    has_state: bool = False


class Sieve:
    """Takes the batches of a block in turn and gives the rows that stay.

    Attributes:
        read_count: Rows that came in.
        dropped_count: Rows that a filter or the like left out.
        rejected_count: Rows with an error, or that break the input's contract; what is told of them is in the spool.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        findings: Findings,
        spool: Spool | None,
        output_columns: Mapping[int, str] | None = None,
    ) -> None:
        """Begin.

        Args:
            layout: The columns of the batches.
            findings: Where broken rules are counted.
            spool: Gets row number and state of each rejected row; None where no row stands for a row of the input.
            output_columns: Columns of the report by the numbers of the rules of its contract, to take samples of.
        """
        self._layout = layout
        self._findings = findings
        self._spool = spool
        self._output_columns = output_columns or {}
        self.read_count = self.dropped_count = self.rejected_count = 0

    def kept(self, batch: pa.RecordBatch, *, numbered: bool = False) -> pa.RecordBatch:
        """Return the table's own columns of the rows that stay.

        Args:
            batch: The next rows.
            numbered: Add a column with the number of each row, by which the next block knows the order.
        """
        first = self.read_count
        self.read_count += batch.num_rows
        rows = batch.select(range(self._layout.columns))
        states = self._states(batch)
        keep = None
        if states is not None and states.null_count < len(states):
            keep = self._judge(batch, states, first)
        if numbered:
            ordinals = pa.array(np.arange(first, self.read_count), pa.int64())
            rows = pa.RecordBatch.from_arrays([*rows.columns, ordinals], names=[*rows.schema.names, ROW])
        return rows if keep is None or keep.all() else rows.filter(pa.array(keep))

    def _states(self, batch: pa.RecordBatch) -> pa.Array | None:
        """Return the state of each row, with what the unique keys add to it."""
        states = batch.column(batch.num_columns - 1) if self._layout.has_state else None
        for place, key in enumerate(self._layout.keys, self._layout.columns):
            repeated = key.repeated(batch.column(place))
            if repeated is None or not repeated.any():
                continue
            if states is None:
                states = pa.nulls(batch.num_rows, pa.string())
            # A row that breaks the contract reaches no step, so what steps said of it does not count.
            judged = pc.replace_substring_regex(states, _OF_STEPS, "") if key.rejects else states
            part = pa.scalar(key.part, pa.string())
            joined = pc.binary_join_element_wise(judged, part, PART_SEPARATOR, null_handling="skip")
            states = pc.if_else(pa.array(repeated), joined, states)
        return states

    def _judge(self, batch: pa.RecordBatch, states: pa.Array, first: int) -> Flags:
        """Return which rows stay; count and spool what becomes of the others."""
        kept_before = first - self.dropped_count - self.rejected_count
        keep: Flags = np.ones(batch.num_rows, dtype=bool)
        is_dropped = _as_flags(pc.equal(states, DROPPED).fill_null(False))  # noqa: FBT003 - a value of the array
        keep[is_dropped] = False
        self.dropped_count += int(is_dropped.sum())
        places = np.flatnonzero(_as_flags(states.is_valid()) & ~is_dropped)
        if len(places):
            told = states.take(pa.array(places)).cast(pa.string())
            rows = self._row_numbers(batch, places, first)
            is_rejected = _as_flags(pc.match_substring_regex(told, _REJECTING))
            is_dropped = ~is_rejected & _as_flags(pc.match_substring_regex(told, _DROPPING))
            keep[places[is_rejected | is_dropped]] = False
            self.dropped_count += int(is_dropped.sum())
            self.rejected_count += int(is_rejected.sum())
            report_rows = kept_before + np.cumsum(keep)[places]
            batch = batch.take(pa.array(places))
            self._findings.add(told, rows, report_rows, batch, self._output_columns)
            if self._spool is not None:
                self._spool.write(rows[is_rejected], told.filter(pa.array(is_rejected)))
        return keep

    def _row_numbers(self, batch: pa.RecordBatch, places: Numbers, first: int) -> Numbers:
        if not self._layout.has_row:
            return places + first
        column = batch.num_columns - 1 - self._layout.has_state
        numbers: Numbers = batch.column(column).take(pa.array(places)).to_numpy()
        return numbers


def _as_flags(array: Any) -> Flags:
    flags: Flags = array.to_numpy(zero_copy_only=False)
    return flags
