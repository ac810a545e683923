"""What one report may use: memory, threads, time and room on the disk."""

from __future__ import annotations

import time
from dataclasses import dataclass

from reportgen_dagster.errors import LimitError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one report.

    Attributes:
        memory: What DuckDB may hold in its buffers, as `512MB`; the whole process takes about 300 MB more
            (measured: a sort of 300 MB with 512MB and two threads).
        threads: Threads that DuckDB computes with.
        seconds: Wall-clock time from the first byte read to the last written.
        temp: What copies of files and spilled data may take in the work folder at any time, as `100GB`.
    """

    memory: str = "1GB"
    threads: int = 2
    seconds: int = 3600
    temp: str = "100GB"


class Deadline:
    """The moment at which a report must be done; sooner, if somebody stops it."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._stopped: LimitError | None = None

    @property
    def is_over(self) -> bool:
        """Tell whether the report must end now."""
        return self._stopped is not None or time.monotonic() > self._end

    def stop(self, error: LimitError) -> None:
        """End the report with this error, at the next check or when its queries are interrupted; the first reason counts."""
        self._stopped = self._stopped or error

    def reason(self) -> LimitError:
        """Return why the report must end."""
        return self._stopped or time_is_over(self._seconds)

    def check(self) -> None:
        """Do nothing in time.

        Raises:
            LimitError: If the time is over or the report was stopped.
        """
        if self.is_over:
            raise self.reason()


def time_is_over(seconds: int) -> LimitError:
    """Return the error of a report that takes longer than it may."""
    hint = "Give the report more time, or make its files smaller."
    return LimitError(f"the report took longer than its limit of {seconds} seconds", hint=hint)


def folder_is_full(temp: str) -> LimitError:
    """Return the error of a report that puts more into its work folder than it may."""
    hint = "Give the report more room on the disk, sort and group fewer rows or columns, or make its files smaller."
    return LimitError(f"the report needs more than its {temp} of temporary room on the disk", hint=hint)


def memory_is_over(memory: str) -> LimitError:
    """Return the error of a report that needs more memory than it may have."""
    hint = "Give the report more memory, or make the references smaller."
    return LimitError(f"the report needs more than its {memory} of memory", hint=hint)
