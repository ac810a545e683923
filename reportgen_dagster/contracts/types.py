"""The types that columns and expressions have.

What belongs here: the names of types and how they are told to people. What does not: values (rules/values/), contracts' fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TypeName = Literal[
    "text", "integer", "number", "decimal", "boolean", "date", "time", "datetime", "cell", "null", "any"
]


@dataclass(frozen=True, slots=True)
class Type:
    """What a column holds.

    Attributes:
        name: `text`, `integer` (64 bits), `number` (double precision), `decimal`, `boolean`, `date`, `time`, `datetime` (no zone,
            UTC where it had one). `cell`: a number on some rows and a text on others, only in the short form. `null`: nothing on
            any row. `any`: not known before data.
        precision: All digits of a decimal, at most 38.
        scale: Digits of a decimal behind its point.
    """

    name: TypeName
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        """Tell it to people, as `decimal(18,4)`."""
        return f"decimal({self.precision},{self.scale})" if self.name == "decimal" else self.name


TEXT = Type("text")
INTEGER = Type("integer")
NUMBER = Type("number")
BOOLEAN = Type("boolean")
DATE = Type("date")
TIME = Type("time")
DATETIME = Type("datetime")
ANY = Type("any")
