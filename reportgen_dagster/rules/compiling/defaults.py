"""What a looked-up column holds on rows that the reference has no row for.

What belongs here: a default as a value of a type. What does not: the lookup (lookups.py).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sqlglot.expressions import Expr

from reportgen_dagster.contracts.types import NUMBER, TEXT, Type
from reportgen_dagster.rules.values.typed import (
    LARGEST_INTEGER,
    cast,
    decimal_type,
    double,
    false,
    integer_literal,
    text,
    true,
)

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(rf"{_DATE.pattern}[T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,6}})?)?")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?")


@dataclass(frozen=True, slots=True)
class Default:
    """A default as it is written.

    Attributes:
        text: The text that is written into the report.
    """

    text: str

    @property
    def is_number(self) -> bool:
        """Tell whether it reads as a plain number."""
        return bool(_NUMBER.fullmatch(self.text)) and math.isfinite(float(self.text))

    @property
    def number(self) -> float:
        """Return the number that it reads as."""
        return float(self.text)

    @property
    def magnitude(self) -> float:
        """Return its size, 0.0 if it is no number."""
        return abs(self.number) if self.is_number else 0.0

    @property
    def integer(self) -> int | None:
        """Return the whole number of 64 bits that it reads as, if it does."""
        if not self.is_number or not re.fullmatch("-?[0-9]+", self.text):
            return None
        return int(self.text) if abs(int(self.text)) <= LARGEST_INTEGER else None

    def of(self, type_: Type) -> Expr | None:
        """Return it as a value of a type, None if it is none."""
        if type_.name == "text":
            return text(self.text)
        if type_.name == "integer":
            return integer_literal(self.integer) if self.integer is not None else None
        if type_.name == "number":
            return double(self.number) if self.is_number else None
        if type_.name == "decimal":
            return self._decimal(type_)
        if type_.name == "boolean":
            return {"true": true(), "false": false()}.get(self.text)
        return self._moment(type_)

    def _decimal(self, type_: Type) -> Expr | None:
        try:
            value = Decimal(self.text) if self.is_number else None
        except InvalidOperation:
            return None
        if value is None or value != round(value, type_.scale):
            return None
        if abs(value) >= Decimal(10) ** (type_.precision - type_.scale):
            return None
        return cast(text(self.text), decimal_type(type_.precision, type_.scale))

    def _moment(self, type_: Type) -> Expr | None:
        forms = {"date": (_DATE, "DATE"), "datetime": (_DATETIME, "TIMESTAMP"), "time": (_TIME, "TIME")}
        if type_.name not in forms:
            return None
        pattern, to = forms[type_.name]
        readers = {
            "date": dt.date.fromisoformat,
            "datetime": dt.datetime.fromisoformat,
            "time": dt.time.fromisoformat,
        }
        try:
            fits = pattern.fullmatch(self.text) is not None
            readers[type_.name](self.text)
        except ValueError:
            return None
        return cast(text(self.text), to) if fits else None

    def widened(self, type_: Type) -> Type:
        """Return the narrowest type that holds a column's inferred type and this."""
        if type_.name == "null":
            if self.integer is not None:
                return Type("integer")
            return NUMBER if self.is_number else TEXT
        if self.of(type_) is not None:
            return type_
        return NUMBER if type_.name == "integer" and self.is_number else TEXT


def default_of(written: object) -> Default | None:
    """Return a default as YAML or JSON gives it; None for null."""
    if written is None:
        return None
    return Default(str(written).lower() if isinstance(written, bool) else str(written))
