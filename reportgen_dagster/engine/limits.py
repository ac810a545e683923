"""What one report may use: memory, threads and time."""

from __future__ import annotations

import time
from dataclasses import dataclass

from reportgen_dagster.errors import LimitError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one report.

    Attributes:
        memory: What DuckDB may hold in its buffers, as `512MB`; the whole process stays within 200 MB more.
        threads: Threads that DuckDB computes with.
        seconds: Wall-clock time from the first byte read to the last written.
    """

    memory: str = "1GB"
    threads: int = 2
    seconds: int = 3600


class Deadline:
    """The moment at which a report must be done."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        """Do nothing in time.

        Raises:
            LimitError: If the time is over.
        """
        if time.monotonic() > self._end:
            raise time_is_over(self._seconds)


def time_is_over(seconds: int) -> LimitError:
    """Return the error of a report that takes longer than it may."""
    return LimitError(f"the report took longer than its limit of {seconds} seconds")
