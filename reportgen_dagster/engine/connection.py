"""A DuckDB connection that can read the files of one report and nothing else.

What belongs here: opening and locking it down, and turning DuckDB's errors into ours. What does not: queries.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
from sqlglot import exp

from reportgen_dagster.engine.limits import Limits, time_is_over
from reportgen_dagster.errors import LimitError, ServiceError, UnreadableFileError

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
        LimitError: If memory or time ran out.
        UnreadableFileError: If DuckDB cannot parse a file at all.
        ServiceError: On anything else; the cause goes to the log, not to the user.
    """
    try:
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


def _internal(error: duckdb.Error) -> ServiceError:
    _log.error("DuckDB failed: %s", error)
    return ServiceError("the query of this report failed")


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0].removeprefix("Invalid Input Error: ")
