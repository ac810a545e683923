"""Use case: the first rows after any step of rules, for whoever writes them. Nothing is kept of it.

The work is done by a warm child process (`preview_child.py`) with little memory, disk and time.
"""

from __future__ import annotations

import atexit
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from reportgen_dagster.errors import BadRequestError, LimitError, TooManyError, error_from_json
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services.child_processes import ChildProcesses, TooMuchError
from reportgen_dagster.services.uploads import RulesText

CHILDREN = 1
MAX_AT_ONCE = 6  # those that still come in or wait for the child counted; who is turned away holds up nobody
MAX_OF_ONE = 3  # so that one user leaves places to others
PREVIEW_SECONDS = 2.0
GRACE_SECONDS = 1.0  # the child minds the time itself and tells; who does not tell is ended
RETRY_SECONDS = 2
MAX_ROWS = 1_000
CHILD_MODULE = "reportgen_dagster.services.preview_child"


@dataclass(frozen=True, slots=True)
class PreviewView:
    """The first rows after a step.

    Attributes:
        columns: Name and type of each column.
        rows: The rows, each cell as it would be written; null is None.
        markdown: The same as a Markdown table.
        reject_count: Rows met on the way that are rejects.
        sampled: Only the first lines of a large input were looked at, also for the types of its columns.
    """

    columns: list[dict[str, str]]
    rows: list[list[str | None]]
    markdown: str
    reject_count: int
    sampled: bool


class _Places:
    """How many previews there are at this moment, and whose."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, owner_id: str) -> Iterator[None]:
        with self._lock:
            if self._held.total() >= MAX_AT_ONCE or self._held[owner_id] >= MAX_OF_ONE:
                raise TooManyError("Too many previews are made at this moment.", retry_seconds=RETRY_SECONDS)
            self._held[owner_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held -= Counter((owner_id,))


class Previewer:
    """A warm child that shows first rows; for any number of threads."""

    def __init__(self, children: int = CHILDREN, seconds: float = PREVIEW_SECONDS) -> None:
        """Begin without a child.

        Args:
            children: How many there are at most.
            seconds: How long a preview may take.
        """
        self._seconds = seconds
        self._places = _Places()
        self._children = ChildProcesses(CHILD_MODULE, count=children, seconds=seconds + GRACE_SECONDS)
        self.warm = self._children.warm
        self.close = self._children.close

    def place(self, owner_id: str) -> AbstractContextManager[None]:
        """Hold a place for a preview of a user's, from before its files come in until it is shown.

        Raises:
            TooManyError: If there are too many at this moment, or too many of his.
        """
        return self._places.hold(owner_id)

    def preview(
        self,
        rules: RulesText,
        files: Mapping[str, Path],
        *,
        step: int | None = None,
        rows: int = 10,
        parameters: Mapping[str, Any] | None = None,
        run_date: date | None = None,
    ) -> PreviewView:
        """Show the first rows after a step. Whoever asks for somebody holds a `place`.

        Args:
            rules: The rules.
            files: Where the bytes of each file lie, by what it is to the rules.
            step: After so many steps; None: after the last, as the report has them.
            rows: At most so many.
            parameters: Values of the rules' parameters, as JSON has them.
            run_date: What `today()` is; today in UTC if left out.

        Raises:
            RulesError: With every problem of the rules.
            BadRequestError: If `rows`, `step` or a parameter cannot be used.
            BadDataError: If the files allow no report.
            LimitError: If it takes too much time or memory.
            UnavailableError: If no child can be started.
        """
        if not 1 <= rows <= MAX_ROWS:
            raise BadRequestError(f"rows: {rows} is not between 1 and {MAX_ROWS:,}.")
        request = {
            "text": rules.text,
            "source": rules.filename,
            "syntax": rules.syntax,
            "files": {name: str(path) for name, path in files.items()},
            "step": step,
            "rows": rows,
            "parameters": dict(parameters or {}),
            "run_date": (run_date or utc_now().date()).isoformat(),
        }
        answer = self._ask(request)
        if "error" in answer:
            raise error_from_json(answer["error"])
        return PreviewView(**answer["preview"])

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._children.ask(request)
        except TooMuchError:
            raise LimitError(
                f"The preview takes more than {self._seconds:g} seconds or too much memory.",
                hint="Preview smaller files, or make the whole report.",
            ) from None


_previewer = Previewer()
atexit.register(_previewer.close)
place = _previewer.place
preview = _previewer.preview
close = _previewer.close
