"""Whether the columns of a report fit what its pages show of them.

What belongs here: names and types of columns under `presentation`. What does not: the block itself (reading/presentation.py),
what only rows can tell (engine/pages/).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.rules.compiling.draft import Draft
from reportgen_dagster.rules.compiling.scopes import Column, Scope
from reportgen_dagster.rules.reading.cell_formats import NumberFormat, TemporalFormat, cell_format
from reportgen_dagster.rules.reading.judging import nearest
from reportgen_dagster.rules.reading.mending import UNNAMED
from reportgen_dagster.rules.reading.positions import Path
from reportgen_dagster.rules.reading.presentation import Presentation, Total
from reportgen_dagster.rules.reading.shapes import Wrong

_AT: Path = ("presentation",)
_UNKNOWN = ("any", "null")  # what they hold is not known before data, or nothing
_NUMBERS = ("integer", "number", "decimal", *_UNKNOWN)
_TEMPORALS = ("date", "time", "datetime", *_UNKNOWN)
_OF_NUMBERS: tuple[Total, ...] = ("sum", "average")
_ORDERED: tuple[Total, ...] = ("minimum", "maximum")


def judge_presentation(draft: Draft, scope: Scope, columns: Sequence[Column]) -> None:
    """Note what the pages are to show that the report does not have.

    Args:
        draft: The plan in the making.
        scope: What there is after the last step.
        columns: The report's columns.
    """
    output, ruleset = draft.ruleset.document.output, draft.ruleset
    is_wrong = ruleset.is_wrong("output", "columns")
    is_all = output is None or output.columns is None
    is_open = is_wrong or (is_all and scope.more is not None)
    types = {column.name: column.type for column in columns}
    for wrong in presentation_problems(ruleset.document.presentation, types, is_open=is_open):
        draft.refuse(wrong.path, wrong.message, key=wrong.key)


def presentation_problems(
    presentation: Presentation, types: Mapping[str, Type], *, is_open: bool = False
) -> Iterator[Wrong]:
    """Find what does not fit the columns of a report.

    Args:
        presentation: What the pages are to show.
        types: The report's columns with their types.
        is_open: There may be further columns.
    """
    judge = _Judge(types, is_open=is_open)
    for name, code in presentation.formats.items():
        yield from judge.format(name, code)
    for path, name, total in _totals(presentation):
        yield from judge.total(path, name, total)
    for number, written in enumerate(presentation.sort):
        name = written if written in types else written.removeprefix("-")
        yield from judge.unknown((*_AT, "sort", number), name)
    for number, chart in enumerate(presentation.charts):
        at: Path = (*_AT, "charts", number)
        yield from judge.unknown((*at, "x"), chart.x)
        yield from judge.measure((*at, "y"), chart.y)
        if chart.by is not None:
            yield from judge.unknown((*at, "by"), chart.by)


def _totals(presentation: Presentation) -> Iterator[tuple[Path, str, Total]]:
    told, is_listed = presentation.told, not isinstance(presentation.totals, dict)
    for place, name in enumerate(presentation.totals):
        yield (*_AT, "totals", place if is_listed else name), name, told[name]


class _Judge:
    """Judges by the columns that there are."""

    def __init__(self, types: Mapping[str, Type], *, is_open: bool) -> None:
        self._types = types
        self._is_open = is_open

    def unknown(self, path: Path, name: str, *, key: bool = False) -> Iterator[Wrong]:
        if name not in self._types and name != UNNAMED and not self._is_open:
            yield Wrong(path, f"unknown column `{name}`{nearest(name, self._types)}", key)

    def format(self, name: str, code: str) -> Iterator[Wrong]:
        path: Path = (*_AT, "formats", name)
        yield from self.unknown(path, name, key=True)
        type_, meant = self._types.get(name), cell_format(code)
        if type_ is None:
            return
        if isinstance(meant, NumberFormat) and type_.name not in _NUMBERS:
            yield Wrong(path, f"`{code}` writes numbers; `{name}` is {type_}")
        if isinstance(meant, TemporalFormat):
            yield from self._temporal(path, name, code, meant)

    def _temporal(self, path: Path, name: str, code: str, meant: TemporalFormat) -> Iterator[Wrong]:
        type_ = self._types[name]
        if type_.name not in _TEMPORALS:
            yield Wrong(path, f"`{code}` writes dates and times; `{name}` is {type_}")
        elif type_.name == "date" and meant.has_time:
            yield Wrong(path, f"`{code}` writes a time of day; `{name}` is a date, which has none")
        elif type_.name == "time" and meant.has_date:
            yield Wrong(path, f"`{code}` writes a day; `{name}` is a time of day")

    def total(self, path: Path, name: str, total: Total) -> Iterator[Wrong]:
        yield from self.unknown(path, name, key=path[-1] == name)
        type_ = self._types.get(name)
        if type_ is None or total == "count":
            return
        if total in _OF_NUMBERS and type_.name not in _NUMBERS:
            yield Wrong(path, f"only numbers have {_with_article(total)}; `{name}` is {type_}")
        elif total in _ORDERED and type_.name not in (*_NUMBERS, *_TEMPORALS):
            yield Wrong(
                path, f"only numbers, dates and times have {_with_article(total)}; `{name}` is {type_}"
            )

    def measure(self, path: Path, name: str) -> Iterator[Wrong]:
        yield from self.unknown(path, name)
        type_ = self._types.get(name)
        if type_ is not None and type_.name not in _NUMBERS:
            yield Wrong(path, f"a chart shows sums of numbers; `{name}` is {type_}")


def _with_article(total: Total) -> str:
    return f"an {total}" if total == "average" else f"a {total}"
