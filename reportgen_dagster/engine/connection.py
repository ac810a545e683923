"""A DuckDB connection that can read the files of one report and nothing else.

What belongs here: opening and locking it down, and turning DuckDB's errors into ours. What does not: queries.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
from sqlglot import exp

from reportgen_dagster.engine.limits import Deadline, Limits, folder_is_full, memory_is_over, time_is_over
from reportgen_dagster.errors import LimitError, ReportgenError, ServiceError, UnreadableFileError

MAX_DEPTH = 5_000  # what 500 operators in a row need is above DuckDB's own 1,000
_DUCKDB_WORDS = re.compile(r"[A-Za-z ]+ Error: ")
_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_log = logging.getLogger(__name__)


def open_connection(files: Sequence[Path], *, work: Path, limits: Limits) -> duckdb.DuckDBPyConnection:
    """Open an in-memory database that reads exactly `files` and spills into `work`.

    Afterwards no setting can be changed, no other file be opened, no extension be loaded.
    """
    connection = duckdb.connect(
        config={
            "threads": limits.threads,
            "max_expression_depth": MAX_DEPTH,
            "memory_limit": limits.memory,
            "temp_directory": str(work / "spill"),
            "max_execution_time": limits.seconds * 1000,
            "preserve_insertion_order": True,
            # Without statistics of a CSV file DuckDB would build the hash table of a lookup on the input.
            "disabled_optimizers": "build_side_probe_side",
            # A window shows other bytes under the same name later.
            "enable_external_file_cache": False,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        }
    )
    connection.execute("SET GLOBAL TimeZone = 'UTC'")  # global: cursors begin with it
    connection.execute("SET enable_progress_bar = false")  # it would go to standard output
    allowed = exp.Array(expressions=[exp.Literal.string(str(path)) for path in files]).sql("duckdb")
    connection.execute(f"SET allowed_paths = {allowed}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


@contextmanager
def engine_errors(limits: Limits, deadline: Deadline | None = None) -> Iterator[None]:
    """Turn what DuckDB and the operating system raise inside into errors of the tree.

    Args:
        limits: Of the report, for messages.
        deadline: Knows why a query was interrupted; without it, the time was over.

    Raises:
        LimitError: If memory, time or the disk ran out.
        UnreadableFileError: If DuckDB cannot parse a file at all.
        ServiceError: On anything else; the cause goes to the log, not to the user.
    """
    try:
        with _full_disks(limits):
            yield
    except MemoryError:
        raise memory_is_over(limits.memory) from None
    except (duckdb.Error, OSError) as error:
        translated = _translated(error, limits, deadline)
        if translated is None:
            raise
        raise translated from None


def _translated(
    error: duckdb.Error | OSError, limits: Limits, deadline: Deadline | None
) -> ReportgenError | None:
    """Say what an error of DuckDB means; None if it is none.

    An error in the middle of an Arrow stream comes as an OSError without a number, with DuckDB's words.
    """
    told = str(error)
    if isinstance(error, OSError) and (error.errno is not None or not _DUCKDB_WORDS.match(told)):
        return None
    if isinstance(error, duckdb.OutOfMemoryException) or told.startswith("Out of Memory Error"):
        return memory_is_over(limits.memory)
    if isinstance(error, duckdb.InterruptException) or told.startswith("INTERRUPT Error"):
        return deadline.reason() if deadline else time_is_over(limits.seconds)
    if isinstance(error, duckdb.InvalidInputException) and "CSV" in told:
        return UnreadableFileError(f"a file cannot be read as CSV: {_first_line(told)}")
    _log.error("DuckDB failed: %s", told)
    return ServiceError("the query of this report failed")


@contextmanager
def _full_disks(limits: Limits) -> Iterator[None]:
    """Turn what says that a disk is full, or that a file may not grow, into one error."""
    try:
        yield
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException) as error:
        if not _tells_full_disk(error):
            raise
        if getattr(error, "errno", None) == errno.EFBIG or os.strerror(errno.EFBIG) in str(error):
            raise folder_is_full(limits.temp) from None
        _log.info("The disk is full: %s", error)
        hint = "Make room on the disk of the reports, or make the files smaller."
        raise LimitError("the disk is full", hint=hint) from None


def _tells_full_disk(error: Exception) -> bool:
    """Judge by the number, or by the words where DuckDB and Polars give none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _DISK_IS_FULL
    words = (*map(os.strerror, _DISK_IS_FULL), "max_temp_directory_size")
    return any(word in str(error) for word in words)


def _first_line(told: str) -> str:
    return told.partition("\n")[0].removeprefix("Invalid Input Error: ")
