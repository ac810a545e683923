"""Takes what has the wrong shape out of plain data, as little as possible, so that all the rest can be judged.

What belongs here: what stands for a wrong part until its user has mended it. What does not: why it is wrong (shapes.py).
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from reportgen_dagster.rules.reading.positions import Path
from reportgen_dagster.rules.reading.steps import STEPS, Step, Unread, UnreadStep

_NAMED = ("references", "parameters")
# Where a step has texts by name that are expressions: one of them can be unknown beside the others.
_EXPRESSIONS: Mapping[str, Path] = {
    "derive": (),
    "aggregate": ("measures",),
    "window": ("columns",),
    "pivot": ("values",),
}
_KEEPING = ("filter", "sort", "limit", "top", "distinct")
# Keys of steps that have no say in which columns there are afterwards.
_NAMELESS = ("missing", "duplicates", "defaults", "how", "match", "order_by", "partition_by")
UNKNOWN = "null"  # the text of an expression that is none
UNNAMED = "\0"  # the name of a column that is none


def without_wrong_parts(data: Mapping[str, Any], wrong: Iterable[Path]) -> dict[str, Any]:
    """Return what stands beside the steps, without what is wrong.

    A field of a contract, a parameter and a reference stay under their names, without anything else.
    """
    left = copy.deepcopy(dict(data))
    # From the end, so that what stands for a part is not taken apart again by a problem above it.
    for path in sorted(wrong, key=lambda path: (-len(path), str(path))):
        _take_out(left, path)
    return left


def _take_out(left: dict[str, Any], path: Path) -> None:
    head, rest = path[:1], path[1:]
    if head and head[0] in _NAMED and rest:
        head, rest = path[:2], path[2:]
    holder: Any = left if len(head) < 2 else left.get(str(head[0]))
    if not head or not isinstance(holder, dict) or head[-1] not in holder:
        return
    key = head[-1]
    if path[0] == "parameters" and len(head) == 2:
        holder[key] = {"type": "text"}
    elif rest and isinstance(holder[key], dict):
        _take_out_of_file(holder[key], rest)
    elif len(head) == 2:
        holder[key] = {}
    else:
        del holder[key]


def _take_out_of_file(file: dict[str, Any], path: Path) -> None:
    """Take something out of the description of a file, of the report or of its pages."""
    key, within = str(path[0]), path[1:]
    part = file.get(key)
    if key == "charts" and within and isinstance(part, list):
        part[int(within[0])] = _plain_chart(part[int(within[0])], within[1:])
    elif not within or not isinstance(part, dict):
        file.pop(key, None)
    elif within[0] == "fields" and len(within) > 1:
        number = int(within[1])
        part["fields"][number] = _plain_field(
            part["fields"][number], number, is_named=within[2:] != ("name",)
        )
    elif within[0] == "fields":
        file.pop(key)
    else:
        part.pop(str(within[0]), None)


def _plain_field(field: object, number: int, *, is_named: bool) -> dict[str, Any]:
    """Return a field of which only the name is known; one without is called as no column is, so others keep their places."""
    name = field.get("name") if isinstance(field, dict) and is_named else None
    return {"name": name if isinstance(name, (str, int, float)) and str(name) else f"\0{number}"}


def _plain_chart(chart: object, wrong: Path) -> dict[str, Any]:
    """Return a chart of which only columns are known; `UNNAMED` stands for those that are not."""
    given = chart if isinstance(chart, dict) else {}
    known = {key: given[key] for key in ("x", "y", "by") if key in given and (key,) != wrong[:1]}
    return {"kind": "bar", "x": UNNAMED, "y": UNNAMED, **known}


# steps


def mended_step(kind: str, data: Mapping[str, Any], wrong: Iterable[Path]) -> tuple[Step, bool]:
    """Return a step without what is wrong, and whether there may be other columns after it than it says.

    Args:
        kind: Its kind.
        data: As it stands in the file.
        wrong: The paths of what is wrong, within the step.
    """
    left = copy.deepcopy(dict(data))
    is_open = False
    for path in wrong:
        is_open |= _take_out_of_step(left, kind, path)
    try:
        return STEPS[kind].model_validate(left), is_open and kind not in _KEEPING
    except ValueError:
        return unread_step(kind, data), False


def _take_out_of_step(left: dict[str, Any], kind: str, path: Path) -> bool:
    """Take out what is wrong; tell whether it may have named columns."""
    if path[:1] != (kind,):
        left.pop(str(path[0]) if path else kind, None)
        return False
    expressions = (kind, *_EXPRESSIONS[kind]) if kind in _EXPRESSIONS else None
    if path[:-1] == expressions:
        holder = left
        for part in path[:-1]:
            holder = holder[str(part)]
        holder[str(path[-1])] = UNKNOWN
        return False
    if len(path) < 2 or not isinstance(left.get(kind), dict):
        left.pop(kind, None)
        return True
    left[kind].pop(str(path[1]), None)
    return not difflib.get_close_matches(str(path[1]), _NAMELESS, n=1)


def unread_step(kind: str | None, data: object) -> UnreadStep:
    """Return what stands for a step that cannot be read.

    Args:
        kind: Its kind, if it has one.
        data: As it stands in the file.
    """
    body = data.get(kind) if isinstance(data, dict) and kind else None
    named = body.get("reference") if isinstance(body, dict) else None
    reference = named if isinstance(named, str) else None
    return UnreadStep(unread=Unread(reference=reference, keeps_columns=kind in _KEEPING))
