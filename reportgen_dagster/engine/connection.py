"""A DuckDB connection that can read the files of one report and nothing else.

What belongs here: opening and locking it down, and turning DuckDB's errors into ours. What does not: queries.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
from sqlglot import exp

from reportgen_dagster.engine.limits import Limits, time_is_over
from reportgen_dagster.errors import LimitError, ServiceError, UnreadableFileError

_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_log = logging.getLogger(__name__)


def open_connection(files: Sequence[Path], *, work: Path, limits: Limits) -> duckdb.DuckDBPyConnection:
    """Open an in-memory database that reads exactly `files` and spills into `work`.

    Afterwards no setting can be changed, no other file be opened, no extension be loaded.
    """
    connection = duckdb.connect(
        config={
            "threads": limits.threads,
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
    connection.execute("SET TimeZone = 'UTC'")
    allowed = exp.Array(expressions=[exp.Literal.string(str(path)) for path in files]).sql("duckdb")
    connection.execute(f"SET allowed_paths = {allowed}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


@contextmanager
def engine_errors(limits: Limits) -> Iterator[None]:
    """Turn what DuckDB and the operating system raise inside into errors of the tree.

    Raises:
        LimitError: If memory, time or the disk ran out.
        UnreadableFileError: If DuckDB cannot parse a file at all.
        ServiceError: On anything else; the cause goes to the log, not to the user.
    """
    try:
        with _full_disks():
            yield
    except (duckdb.OutOfMemoryException, MemoryError):
        hint = "Give the report more memory, or make the references smaller."
        raise LimitError(f"the report needs more than its {limits.memory} of memory", hint=hint) from None
    except duckdb.InterruptException:
        raise time_is_over(limits.seconds) from None
    except duckdb.InvalidInputException as error:
        if "CSV" not in str(error):
            raise _internal(error) from None
        raise UnreadableFileError(f"a file cannot be read as CSV: {_first_line(error)}") from None
    except duckdb.Error as error:
        raise _internal(error) from None


@contextmanager
def _full_disks() -> Iterator[None]:
    """Turn what says that a disk is full, or that a file may not grow, into one error."""
    try:
        yield
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException) as error:
        if not _tells_full_disk(error):
            raise
        _log.info("The disk is full: %s", error)
        hint = "Make room on the disk of the reports, or make the files smaller."
        raise LimitError("the disk is full", hint=hint) from None


def _tells_full_disk(error: Exception) -> bool:
    """Judge by the number, or by the words where DuckDB and Polars give none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _DISK_IS_FULL
    words = (*map(os.strerror, _DISK_IS_FULL), "max_temp_directory_size")
    return any(word in str(error) for word in words)


def _internal(error: duckdb.Error) -> ServiceError:
    _log.error("DuckDB failed: %s", error)
    return ServiceError("the query of this report failed")


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0].removeprefix("Invalid Input Error: ")
