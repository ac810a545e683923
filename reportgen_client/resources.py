"""Named things of the resource API: datasets, rulesets and reports, each by its name.

Answers are plain dicts with the members that docs/api.md tells, so that what a newer service adds is there at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reportgen_client import resumable
from reportgen_client.connection import Call, Connection, json_of
from reportgen_client.downloads import pieces, save
from reportgen_client.runs import Run
from reportgen_client.sources import File, Progress, SharedProgress, Source

RESUMABLE_BYTES = 64 * 1024 * 1024  # from here on a file is uploaded so that it survives a broken connection


class Item(dict[str, Any]):
    """One thing as the service tells it.

    Attributes:
        etag: Its state, for `if_match`: a change on the condition that nobody else made one meanwhile; empty if it has none.
    """

    def __init__(self, members: Mapping[str, Any], etag: str = "") -> None:
        """Take the members, and the ETag that came with them."""
        super().__init__(members)
        self.etag = etag


class Resource:
    """A kind of named things of the caller's."""

    def __init__(self, connection: Connection, kind: str) -> None:
        """Name the kind as it is in paths, as `datasets`."""
        self._connection = connection
        self._base = f"/api/v1/{kind}"

    def list(self) -> Iterator[dict[str, Any]]:
        """Yield them all, by name."""
        return self._connection.items(self._base)

    def get(self, name: str) -> Item:
        """Return one."""
        return self._item(Call("GET", self._path(name)))

    def delete(self, name: str, *, if_match: str | None = None) -> None:
        """Delete one.

        Args:
            name: Its name.
            if_match: Only if this is still its ETag.
        """
        self._connection.send(Call("DELETE", self._path(name), headers=_condition(if_match)))

    def _path(self, name: str, *more: str) -> str:
        return "/".join([self._base, *(quote(part, safe="") for part in (name, *more))])

    def _item(self, call: Call) -> Item:
        answer = self._connection.send(call)
        return Item(json_of(answer), answer.headers.get("ETag", ""))


class Versioned(Resource):
    """Named things with versions."""

    def versions(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the versions of one, the latest first."""
        return self._connection.items(self._path(name, "versions"))


class Datasets(Versioned):
    """Named files with versions."""

    def add(self, name: str, file: File, *, on_progress: Progress | None = None) -> Item:
        """Make a file the latest version of a dataset, which is made if there is none; return the version.

        The same bytes again are no new version.

        Args:
            name: The dataset.
            file: The file, as a path or as bytes.
            on_progress: Is told how many bytes have been sent, and how many there are.
        """
        source = Source(file, name=f"{name}.csv")
        progress = SharedProgress({"file": source}, on_progress)
        if source.size_bytes >= RESUMABLE_BYTES and resumable.is_offered(self._connection):
            became = resumable.upload(self._connection, source, {"dataset": name}, progress.of("file"))
            return Item(became)
        call = Call("POST", self._path(name, "versions"), files={"file": source}, progress=progress)
        return self._item(call.making())

    def profile(self, name: str, version: int) -> Item:
        """Return what a version holds: its number of rows, and of each column type, nulls, distinct, least and greatest.

        Raises:
            ReportgenApiError: If nobody has looked at it yet, which takes seconds (status 409).
        """
        return self._of_version(name, version, "profile")

    def rows(self, name: str, version: int) -> Item:
        """Return the first rows of a version: `columns`, `rows` and the same as `markdown`.

        Raises:
            ReportgenApiError: As of `profile`.
        """
        return self._of_version(name, version, "rows")

    def rejects(self, name: str, version: int, path: str | os.PathLike[str]) -> Path:
        """Download the rows of a version that cannot be read, as CSV with line and reason, and return the path.

        Raises:
            ReportgenApiError: As of `profile`; also if all can be read (status 404).
            DownloadError: If the bytes are not those of the file.
            OSError: If it cannot be written.
        """
        call = Call("GET", self._path(name, "versions", str(version), "rejects"))
        return save(pieces(self._connection, call), path)

    def _of_version(self, name: str, version: int, what: str) -> Item:
        return self._item(Call("GET", self._path(name, "versions", str(version), what)))


class Rulesets(Versioned):
    """Named rules with versions."""

    def put(self, name: str, rules: str, *, syntax: str = "yaml", if_match: str | None = None) -> Item:
        """Make a text the latest version of a ruleset, which is made if there is none; return the version.

        Args:
            name: The ruleset.
            rules: The text.
            syntax: `yaml` or `json`.
            if_match: Only if this is still the ruleset's ETag.

        Raises:
            ReportgenApiError: If the rules have problems; `errors` has every one, with its place.
        """
        headers = {"Content-Type": f"application/{syntax}", **_condition(if_match)}
        return self._item(Call("PUT", self._path(name), headers=headers, content=rules.encode()))

    def check(self, rules: str, *, syntax: str = "yaml") -> dict[str, Any]:
        """Tell whether rules can be used, without keeping them: `valid`, and every one of the `problems` with its place.

        Args:
            rules: The text.
            syntax: `yaml` or `json`.
        """
        headers = {"Content-Type": f"application/{syntax}"}
        call = Call("POST", f"{self._base}/check", headers=headers, content=rules.encode(), is_harmless=True)
        checked: dict[str, Any] = self._connection.ask(call)
        return checked


class Reports(Resource):
    """Named reports: rules over datasets."""

    def put(self, name: str, definition: Mapping[str, Any], *, if_match: str | None = None) -> Item:
        """Make a report, or say anew what it is made of; return it.

        Args:
            name: The report.
            definition: Ruleset, inputs, parameters, formats, triggers and deliveries, as docs/api.md tells.
            if_match: Only if this is still its ETag.
        """
        return self._item(Call("PUT", self._path(name), headers=_condition(if_match), json=dict(definition)))

    def run(self, name: str) -> Run:
        """Accept a run of a report, and return it."""
        return Run(self._connection, self._connection.ask(Call("POST", self._path(name, "runs")).making()))

    def runs(self, name: str) -> Iterator[Run]:
        """Yield the runs of a report, the latest first."""
        for facts in self._connection.items(self._path(name, "runs")):
            yield Run(self._connection, facts)

    def pause(self, name: str) -> Item:
        """Let a report run neither by its schedules nor on new data until it is resumed; return it."""
        return self._item(Call("POST", self._path(name, "pause")))

    def resume(self, name: str) -> Item:
        """Let a paused report run by itself again; return it."""
        return self._item(Call("POST", self._path(name, "resume")))


def _condition(if_match: str | None) -> dict[str, str]:
    return {"If-Match": if_match} if if_match else {}
