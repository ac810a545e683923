"""A run: one making of a report, followed from being accepted to its files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from reportgen_client.connection import Call, Connection
from reportgen_client.downloads import pieces, save
from reportgen_client.errors import ReportgenApiError
from reportgen_client.following import FINAL, follow
from reportgen_client.sources import Progress

RUNS = "/api/v1/runs"


class Run:
    """A run of the caller's, as the service told of it last.

    Attributes:
        id: Its id, the `task_id` of the original API.
        facts: All that the service told, by the names of the API; `refresh` asks anew.
    """

    def __init__(self, connection: Connection, facts: dict[str, Any]) -> None:
        """Take what the service told; it has `task_id` and `status`."""
        self._connection = connection
        self.id = str(facts["task_id"])
        self.facts = facts

    def __repr__(self) -> str:
        return f"Run({self.id!r}, {self.status!r})"

    @property
    def status(self) -> str:
        """`accepted`, `running`, `succeeded`, `failed` or `cancelled`."""
        return str(self.facts["status"])

    @property
    def is_final(self) -> bool:
        """Whether it ended, one way or the other."""
        return self.status in FINAL

    @property
    def stage(self) -> str:
        """`waiting`, `ingest`, `validate`, `transform`, `publish` or `done`."""
        return str(self.facts.get("stage", "waiting"))

    @property
    def progress(self) -> int:
        """Percent, 0 to 100."""
        return int(self.facts.get("progress", 0))

    @property
    def rows(self) -> int | None:
        """Rows of the report, once it is made."""
        return self.facts.get("rows")

    @property
    def rejected(self) -> int | None:
        """Rows of the input that are in the rejects instead."""
        return self.facts.get("rejected")

    @property
    def error(self) -> str | None:
        """Why it failed, in words to act on."""
        return self.facts.get("error")

    @property
    def problem(self) -> dict[str, Any] | None:
        """Why it failed, as data: `code`, `fault` (`request`, `data` or `service`), `detail`, `hint` and `problems`."""
        return self.facts.get("problem")

    def refresh(self) -> Run:
        """Ask how it is now; return itself."""
        self.facts = self._connection.ask(Call("GET", f"{RUNS}/{self.id}"))
        return self

    def wait(self, timeout: float | None = None, on_progress: Callable[[Run], None] | None = None) -> Run:
        """Wait until it ended, and return itself. That it failed is no error here: look at `status` and `error`.

        Args:
            timeout: Seconds to wait at most; None: as long as it takes.
            on_progress: Is told the run each time that it got further.

        Raises:
            TimeoutError: If it did not end in time. It goes on all the same.
        """
        seen: tuple[Any, ...] = ()
        for told in follow(self._connection, self.id, timeout):
            self.facts = {**self.facts, **told}
            if on_progress is not None and seen != (seen := (self.status, self.stage, self.progress)):
                on_progress(self)
        return self.refresh()

    def cancel(self) -> Run:
        """Cancel it; nothing of it is published from now on. Return itself.

        Raises:
            ReportgenApiError: If it ended before (status 409).
        """
        self.facts = self._connection.ask(Call("POST", f"{RUNS}/{self.id}/cancel"))
        return self

    def rerun(self) -> Run:
        """Make the same report anew, of the same files, rules and parameters, and return the new run."""
        call = Call("POST", f"{RUNS}/{self.id}/rerun")
        return Run(self._connection, self._connection.ask(call.making()))

    def download(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,
        on_progress: Progress | None = None,
    ) -> Path:
        """Download its report to a file, whole or not at all, and return the path.

        Where the connection breaks, the rest is asked for; bytes with another digest than the service said are refused.

        Args:
            path: The file; one that is there is replaced.
            format: Which of its formats; default: csv if it made that, else its first.
            on_progress: Is told how many bytes have arrived, and how many there are.

        Raises:
            ReportgenApiError: If there is no report: not yet (status 202), or it failed or was cancelled (409).
            DownloadError: If the bytes are not those of the file.
            OSError: If it cannot be written.
        """
        return save(self.pieces(format, on_progress), path)

    def pieces(
        self,
        format: str | None = None,
        on_progress: Progress | None = None,
    ) -> Iterator[bytes]:
        """Yield the bytes of its report, as `download` gets them; whether the digest is right is known after the last one."""
        call = Call("GET", f"/api/download-report/{self.id}/", params={"format": format})
        return pieces(self._connection, call, on_progress)

    def rejects(self, path: str | os.PathLike[str]) -> Path | None:
        """Download the rows that it rejected, as CSV, and return the path; None if it rejected nothing.

        Raises:
            DownloadError: If the bytes are not those of the file.
            OSError: If it cannot be written.
        """
        try:
            return save(self.reject_pieces(), path)
        except ReportgenApiError as error:
            if error.status == 404 and self.refresh().facts["links"]["rejects"] is None:
                return None
            raise

    def artifacts(self) -> list[dict[str, Any]]:
        """Return what it was made as: `format`, `media_type`, `size_bytes`, `digest` and `download` of each file."""
        return list(self._connection.items(f"{RUNS}/{self.id}/artifacts"))

    def checks(self) -> list[dict[str, Any]]:
        """Return what was checked of its files and its report, with examples of what did not hold."""
        return list(self._connection.items(f"{RUNS}/{self.id}/checks"))

    def manifest(self) -> dict[str, Any]:
        """Return what it was made of, whole: rules, digests of files, parameters, versions.

        Raises:
            ReportgenApiError: If there is no report: not yet, or it failed or was cancelled (status 409).
        """
        manifest: dict[str, Any] = self._connection.ask(Call("GET", f"{RUNS}/{self.id}/manifest"))
        return manifest

    def link(self, format: str | None = None) -> dict[str, Any]:
        """Make a link to its report that needs no token and works for minutes; return `url` and `expires_at`.

        Args:
            format: Which of its formats; default: as `download` takes it.
        """
        call = Call("POST", f"{RUNS}/{self.id}/links", params={"format": format}, is_harmless=True)
        link: dict[str, Any] = self._connection.ask(call)
        return link

    def reject_pieces(self) -> Iterator[bytes]:
        """Yield the bytes of the CSV with the rows that it rejected."""
        return pieces(self._connection, Call("GET", f"{RUNS}/{self.id}/rejects"))
