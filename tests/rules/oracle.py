"""The language's meaning once more, row by row in plain Python, independent of the compiler.

Formulas are nested tuples: what they are worth is told by `evaluate`, what they look like by `shown`.
"""

from __future__ import annotations

import math
import re
from typing import Any

LARGEST = 2**63 - 1
_SPACE = r"[ \t\n\v\f\r]*"
_WHOLE = re.compile(rf"{_SPACE}[+-]?\d+{_SPACE}", re.ASCII)
_NUMBER = re.compile(rf"{_SPACE}[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?{_SPACE}", re.ASCII)


class RowError(Exception):
    """The row goes to the rejects."""


def read(cell: str | None) -> Any:
    """Return what a cell counts as."""
    if cell is None:
        return None
    if _WHOLE.fullmatch(cell) and abs(int(cell)) <= LARGEST:
        return int(cell)
    if _NUMBER.fullmatch(cell) and math.isfinite(float(cell)):
        return float(cell)
    return cell


def write(value: Any) -> str | None:
    """Return what the report shows."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value == int(value) and abs(value) < 1e16:
        return str(int(value))
    return repr(value)


def _settled(value: Any) -> Any:
    if isinstance(value, complex):
        raise RowError
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST:
        raise RowError
    if isinstance(value, float) and not math.isfinite(value):
        raise RowError
    return value


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and right >= 0:
        if abs(left) > 1 and right > 64:
            raise RowError
        return left**right
    return float(left) ** float(right)


_ARITHMETIC = {
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: float(a) / float(b),
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "**": _power,
}


def _arithmetic(operator: str, left: Any, right: Any, *, joins: bool) -> Any:
    if left is None or right is None:
        return None
    if joins and isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, str) or isinstance(right, str):
        raise RowError
    try:
        return _settled(left + right if operator == "+" else _ARITHMETIC[operator](left, right))
    except (ArithmeticError, ValueError):
        raise RowError from None


def _ordered(operator: str, left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    if isinstance(left, str) != isinstance(right, str):
        if operator in ("==", "!="):
            return operator == "!="
        raise RowError
    return {
        "==": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[operator]


def _round(value: Any, digits: int | None) -> Any:
    if digits is None:
        return float(round(value)) if isinstance(value, float) else value
    return _settled(round(value, digits))


def _is_number(node: tuple) -> bool:
    """Tell whether a formula is a number by its form, whatever the cells are."""
    kind = node[0]
    if kind == "literal":
        return not isinstance(node[1], str)
    if kind == "binary":
        return node[1] != "+" or any(map(_is_number, node[2:]))
    if kind == "call" and node[1] in ("max", "min", "coalesce"):
        return all(map(_is_number, node[2:]))
    if kind == "if":
        return all(map(_is_number, node[2:]))
    return kind == "call" and node[1] != "upper"


def evaluate(node: tuple, row: dict[str, str | None], *, copied: bool = False, number: bool = False) -> Any:
    """Return a formula's worth on a row; `copied` columns are as written, texts are not joined where a `number` is due."""
    kind = node[0]
    if kind == "name":
        return row[node[1]] if copied else read(row[node[1]])
    if kind == "literal":
        return node[1]
    if kind == "if":
        taken = evaluate(node[1], row)
        return evaluate(node[2] if taken else node[3], row, copied=copied, number=number)
    if kind in ("and", "or"):
        return _connected(kind, node[1:], row)
    if kind == "call":
        return _called(node[1], node[2:], row, copied=copied, number=number)
    if kind == "binary":
        due = number or _is_number(node)
        left, right = (evaluate(part, row, number=due) for part in node[2:])
        return _arithmetic(node[1], left, right, joins=not due)
    return _computed(node, row)


def _computed(node: tuple, row: dict[str, str | None]) -> Any:
    kind = node[0]
    due = kind == "compare" and node[1] not in ("==", "!=") and any(map(_is_number, node[2:]))
    values = [evaluate(part, row, number=due) for part in node[2:]]
    if kind == "compare":
        return _ordered(node[1], *values)
    if kind == "in":
        found = [_ordered("==", values[0], item) for item in values[1:]]
        return True if True in found else None if None in found else False
    if kind == "null":
        return values[0] is None
    if kind == "not":
        return None if values[0] is None else not values[0]
    raise AssertionError(kind)


def _connected(kind: str, parts: tuple, row: dict[str, str | None]) -> Any:
    unknown = False
    for part in parts:
        value = evaluate(part, row)
        if value is (kind == "or"):
            return value
        unknown = unknown or value is None
    return None if unknown else kind == "and"


def _called(name: str, arguments: tuple, row: dict[str, str | None], *, copied: bool, number: bool) -> Any:
    if name == "coalesce":
        for argument in arguments:
            value = evaluate(argument, row, copied=copied, number=number)
            if value is not None:
                return value
        return None
    if name in ("upper", "length"):
        given = write(evaluate(arguments[0], row, copied=True))
        return None if given is None else given.upper() if name == "upper" else len(given)
    extreme = name in ("max", "min")
    due = number or not extreme or any(map(_is_number, arguments))
    values = [evaluate(argument, row, number=due) for argument in arguments if argument[0] != "digits"]
    if None in values:
        return None
    if extreme:
        sorts = {isinstance(value, str) for value in values}
        if len(sorts) > 1 or (due and True in sorts):
            raise RowError
        return max(values) if name == "max" else min(values)
    return _counted(name, values, arguments)


def _counted(name: str, values: list[Any], arguments: tuple) -> Any:
    if isinstance(values[0], str):
        raise RowError
    if name == "neg":
        return -values[0]
    if name == "abs":
        return abs(values[0])
    return _round(values[0], arguments[1][1] if len(arguments) > 1 else None)


def shown(node: tuple) -> str:
    """Return a formula as a user would write it, with parentheses around everything."""
    kind = node[0]
    if kind == "name":
        return node[1]
    if kind in ("literal", "digits"):
        return repr(node[1])
    parts = [shown(part) for part in node[1:] if isinstance(part, tuple)]
    if kind == "if":
        return f"({parts[1]} if {parts[0]} else {parts[2]})"
    if kind in ("and", "or"):
        return "(" + f" {kind} ".join(parts) + ")"
    if kind in ("binary", "compare"):
        return f"({parts[0]} {node[1]} {parts[1]})"
    if kind == "call":
        return f"(-{parts[0]})" if node[1] == "neg" else f"{node[1]}({', '.join(parts)})"
    if kind == "in":
        return f"({parts[0]} in [{', '.join(parts[1:])}])"
    return f"({parts[0]} is None)" if kind == "null" else f"(not {parts[0]})"


def expected(node: tuple, row: dict[str, str | None]) -> str | None:
    """Return what the report shows, or `!` for a reject."""
    try:
        return write(evaluate(node, row, copied=True))
    except RowError:
        return "!"
