"""The types of columns in pandera's and DuckDB's terms.

What belongs here: one table from each type to both. What does not: checks.
"""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
from pandera import dtypes
from pandera.dtypes import immutable
from pandera.engines import pandas_engine

from reportgen_dagster.contracts.types import Type


@pandas_engine.Engine.register_dtype(equivalents=["time_of_day"])
@immutable
class TimeOfDay(pandas_engine.DataType):
    """A time of day without a zone; pandera has none of its own."""

    type = np.dtype("object")

    def check(self, pandera_dtype: dtypes.DataType, data_container: Any = None) -> Any:
        """Test that every present value is a time."""
        if isinstance(pandera_dtype, TimeOfDay) or data_container is None:
            return isinstance(pandera_dtype, TimeOfDay)
        return data_container.map(_is_time_or_missing)

    def __str__(self) -> str:
        return "time"


def _is_time_or_missing(value: Any) -> bool:
    return isinstance(value, datetime.time) or bool(pd.isna(value))


_PANDERA: dict[str, Any] = {
    "text": str,
    "cell": str,
    "integer": pd.Int64Dtype(),
    "number": pd.Float64Dtype(),
    "boolean": pd.BooleanDtype(),
    "date": pandas_engine.Date(),
    "time": pandas_engine.Engine.dtype("time_of_day"),
    "datetime": pandas_engine.Engine.dtype("datetime64[us]"),
}
_INTEGERS = frozenset(
    f"{sign}{size}" for sign in ("", "u") for size in ("tinyint", "smallint", "integer", "bigint", "hugeint")
)
# From narrow to wide: the first class that a pandera type belongs to decides which DuckDB types are accepted.
_DUCKDB: tuple[tuple[type[dtypes.DataType], frozenset[str], str], ...] = (
    (dtypes.Bool, frozenset({"boolean"}), "boolean"),
    (dtypes.Int, _INTEGERS, "integer"),
    (dtypes.Decimal, frozenset({"decimal"}), "decimal"),
    (dtypes.Float, frozenset({"double", "float", "decimal"}), "number"),
    (dtypes.Timestamp, frozenset({"timestamp", "timestamp with time zone"}), "datetime"),
    (dtypes.Date, frozenset({"date"}), "date"),
    (TimeOfDay, frozenset({"time"}), "time"),
    (dtypes.String, frozenset({"varchar"}), "text"),
)


def pandera_type(type_: Type) -> Any:
    """Return pandera's type for a column; None if it may have any."""
    if type_.name == "decimal":
        return pandas_engine.Decimal(type_.precision, type_.scale)
    return _PANDERA.get(type_.name)


def is_accepted(dtype: dtypes.DataType, found: Any) -> bool:
    """Test whether a DuckDB type holds values of pandera's type."""
    names = next((names for kind, names, _ in _DUCKDB if isinstance(dtype, kind)), frozenset[str]())
    if found.id not in names:
        return False
    if isinstance(dtype, dtypes.Decimal) and found.id == "decimal":
        digits = dict(found.children)
        return bool(digits["scale"] == dtype.scale and digits["precision"] <= dtype.precision)
    return True


def type_of_dtype(dtype: dtypes.DataType | None) -> Type | None:
    """Return the type that a pandera type means: `any` for none, None if no type of ours is like it."""
    if dtype is None:
        return Type("any")
    name = next((name for kind, _, name in _DUCKDB if isinstance(dtype, kind)), None)
    if name == "decimal" and isinstance(dtype, dtypes.Decimal):
        return Type("decimal", dtype.precision, dtype.scale)
    return Type(name) if name is not None else None  # type: ignore[arg-type] # each name above is one
