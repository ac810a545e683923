"""Dagster's storage in PostgreSQL, with connections that are kept: Dagster opens a new one for each call.

A connection costs PostgreSQL a process. With one run after the other those were a third of all work on two cores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, pg_url_from_config

KEPT = 2  # by each of a process's three storages; what more is needed at once is opened and closed
MOST_OPENED = 50
RENEWED_SECONDS = 300


class PooledPostgresStorage(DagsterPostgresStorage):
    """As `DagsterPostgresStorage`; a connection that broke while it lay is replaced before it is used."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,  # noqa: FBT001, FBT002 - as Dagster has it
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        """Prepare; nothing is connected beyond looking whether there are tables."""
        super().__init__(postgres_url, should_autocreate_tables, inst_data)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = create_pg_engine(  # there is no other way in
                postgres_url,
                isolation_level="AUTOCOMMIT",
                pool_size=KEPT,
                max_overflow=MOST_OPENED,
                pool_recycle=RENEWED_SECONDS,
                pool_pre_ping=True,
                pool_use_lifo=True,
            )

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Build it as dagster.yaml says."""
        return cls(
            pg_url_from_config(config_value), config_value.get("should_autocreate_tables", True), inst_data
        )
