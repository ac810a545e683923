"""Table schemas: pandera's, valid for pandas frames and for DuckDB relations alike.

What belongs here: the schema class. What does not: how a relation is checked (`duckdb_backend.py`), and which schemas
there are.
"""

from __future__ import annotations

from typing import Any

import duckdb
import pandera.pandas as pa
from pandera.backends.base import BaseSchemaBackend
from pandera.errors import BackendNotFoundError

from reportgen_dagster.contracts.duckdb_backend import DuckDBBackend, NoTable


class TableSchema(pa.DataFrameSchema):
    """pandera's schema of a pandas frame that also validates a DuckDB relation, without moving its rows to Python."""

    @classmethod
    def get_backend(cls, check_obj: Any = None, check_type: type | None = None) -> BaseSchemaBackend:
        """Return what validates a table: ours for relations, pandera's for frames.

        Args:
            check_obj: The table.
            check_type: Its type, if there is no table at hand.
        """
        try:
            return super().get_backend(check_obj, check_type)
        except BackendNotFoundError:
            return pa.DataFrameSchema.get_backend(check_obj, check_type)

    def validate(self, check_obj: Any, *args: Any, **options: Any) -> Any:
        """Return what was checked, or raise pandera's errors.

        Args:
            check_obj: A pandas frame or a DuckDB relation.
            *args: As for pandera's schemas.
            **options: As for pandera's schemas; `lazy=True` collects every failure. A relation knows `lazy` only.

        Raises:
            SchemaError: The first failure, unless lazy.
            SchemaErrors: Every failure, if lazy.
        """
        if isinstance(check_obj, duckdb.DuckDBPyRelation):
            return self.get_backend(check_obj).validate(check_obj, self, lazy=bool(options.get("lazy")))
        return super().validate(check_obj, *args, **options)


TableSchema.register_backend(duckdb.DuckDBPyRelation, DuckDBBackend)
TableSchema.register_backend(NoTable, DuckDBBackend)
