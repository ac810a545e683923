"""Dagster's storage in PostgreSQL, with connections that are kept: Dagster opens a new one for each call.

A connection costs PostgreSQL a process. With one run after the other those were a third of all work on two cores. Runs, events
and schedules share them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Self

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, pg_url_from_config

from reportgen_dagster.pooling import look_after

KEPT = 5  # by a process; what more is needed at once is opened and closed
MOST_OPENED = 50
RENEWED_SECONDS = 300


class PooledPostgresStorage(DagsterPostgresStorage):
    """As `DagsterPostgresStorage`; a connection that broke while it rested is replaced before it is used."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,  # noqa: FBT001, FBT002 - as Dagster has it
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        """Prepare; nothing is connected beyond looking whether there are tables."""
        super().__init__(postgres_url, should_autocreate_tables, inst_data)
        engine = create_pg_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=KEPT,
            max_overflow=MOST_OPENED,
            pool_recycle=RENEWED_SECONDS,
            pool_use_lifo=True,
        )
        look_after(engine)
        runs, events = self._run_storage, self._event_log_storage
        for storage in (runs, events, self._schedule_storage):
            storage._engine = engine  # there is no other way in
        # Dagster looks which columns its tables have before it asks for a run or an asset; they stay while a process lives.
        runs.has_run_stats_index_cols = cache(runs.has_run_stats_index_cols)  # type: ignore[method-assign]
        events.has_asset_key_col = cache(events.has_asset_key_col)  # type: ignore[method-assign]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Build it as dagster.yaml says."""
        return cls(
            pg_url_from_config(config_value), config_value.get("should_autocreate_tables", True), inst_data
        )
