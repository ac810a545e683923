"""What a delivery tells: the facts of a run or of a late report, as data for webhooks and as words for e-mails.

What belongs here: reading the facts and wording them. What does not: how they are sent (mail.py, webhooks.py, copying.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from reportgen_dagster.catalog import runs as queue
from reportgen_dagster.catalog.tables import Delivery, Rejects, Run
from reportgen_dagster.errors import (
    DamagedFileError,
    DeliveryError,
    DeliveryRefusedError,
    LostFileError,
    Problem,
    UnavailableError,
)
from reportgen_dagster.formats import GZIP_TYPE, file_name
from reportgen_dagster.identity import slug
from reportgen_dagster.services.context import Context

if TYPE_CHECKING:
    from jinja2 import Template

MAX_PROBLEMS = 20
_TYPES = {"success": "report.succeeded", "failure": "report.failed", "late": "report.late"}
_SUBJECTS = {"success": "{report}: {rows:,} rows", "failure": "{report} failed", "late": "{report} is late"}
_HTML = """\
<!DOCTYPE html>
<html lang="en">
<body style="font-family: sans-serif; color: #222; max-width: 40em">
<h1 style="font-size: 1.2em">{{ title }}</h1>
{% for line in lines %}<p>{{ line }}</p>
{% endfor %}{% if problems %}<ul>
{% for problem in problems %}<li>{{ problem }}</li>
{% endfor %}</ul>
{% endif %}{% if links %}<ul>
{% for name, link in links.items() %}<li>
{% if link.startswith("/") %}{{ name }}: {{ link }}{% else %}<a href="{{ link }}">{{ name }}</a>{% endif %}</li>
{% endfor %}</ul>
{% endif %}</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that a run made.

    Attributes:
        format: `csv` and so on.
        digest: SHA-256 of its bytes.
        size_bytes: Its length.
        media_type: What it is.
        name: What it is to be called; ASCII.
    """

    format: str
    digest: str
    size_bytes: int
    media_type: str
    name: str


@dataclass(frozen=True, slots=True)
class Message:
    """What a delivery tells.

    Attributes:
        id: The delivery's.
        event: `success`, `failure` or `late`.
        at: When it happened.
        report: The report's name.
        run_id: Which run; None if the report is late.
        run_date: What `today()` was in it.
        state: `succeeded`, `failed` or `late`.
        rows: Rows of the report.
        rejected: Rows of the input that were diverted.
        error: Why it failed or is late, as `ReportgenError.to_json`.
        files: What the run made, by format.
        links: Where files and rejects are downloaded, by name; paths where nobody said how users reach the API.
    """

    id: str
    event: str
    at: datetime
    report: str
    run_id: str | None
    run_date: date | None
    state: str
    rows: int | None
    rejected: int | None
    error: dict[str, Any] | None
    files: list[MadeFile]
    links: dict[str, str]

    def wanted_files(self, formats: list[str] | None) -> list[MadeFile]:
        """Return the files of some formats, or of all.

        Raises:
            DeliveryRefusedError: If a success has none of them (any more).
        """
        found = [file for file in self.files if formats is None or file.format in formats]
        if self.event == "success" and not found:
            made = ", ".join(file.format for file in self.files) or "old files were removed"
            raise DeliveryRefusedError(f"The run has no file of the wanted formats ({made}).")
        return found


def message_of(context: Context, delivery: Delivery) -> Message:
    """Return what a delivery tells, as the catalog knows it now."""
    with context.catalog.reading() as session:
        run = session.get(Run, delivery.run_id) if delivery.run_id is not None else None
        if run is None:
            return _of_late(delivery)
        files = _files(session, run)
        has_rejects = session.get(Rejects, run.id) is not None
    return Message(
        id=delivery.id,
        event=delivery.event,
        at=run.finished_at or delivery.created_at,
        report=run.report_name,
        run_id=run.id,
        run_date=run.run_date,
        state=run.state,
        rows=run.row_count,
        rejected=run.reject_count,
        error=run.error,
        files=files,
        links=_links(context.settings.public_url.rstrip("/"), run.id, files, has_rejects=has_rejects),
    )


def _of_late(delivery: Delivery) -> Message:
    error: dict[str, Any] = {
        "code": "late",
        "title": "The report is late",
        "detail": delivery.words,
        "hint": "",
        "problems": [],
    }
    return Message(
        id=delivery.id,
        event=delivery.event,
        at=delivery.created_at,
        report=delivery.report_name,
        run_id=None,
        run_date=None,
        state="late",
        rows=None,
        rejected=None,
        error=error,
        files=[],
        links={},
    )


def _files(session: Session, run: Run) -> list[MadeFile]:
    stem = slug(run.report_name)
    return [
        MadeFile(
            one.format,
            one.digest,
            one.size_bytes,
            one.media_type,
            file_name(stem, one.format, packed=one.media_type == GZIP_TYPE),
        )
        for one in queue.artifacts(session, run)
    ]


def _links(base: str, run_id: str, files: list[MadeFile], *, has_rejects: bool) -> dict[str, str]:
    links = {file.format: f"{base}/api/download-report/{run_id}/?format={file.format}" for file in files}
    return links | ({"rejects": f"{base}/api/v1/runs/{run_id}/rejects"} if has_rejects else {})


def chunks_of(context: Context, file: MadeFile) -> Iterator[bytes]:
    """Yield the bytes of a file.

    Raises:
        DeliveryRefusedError: If they are gone or damaged.
        DeliveryError: If the storage is away.
    """
    try:
        yield from context.store.chunks(file.digest)
    except (LostFileError, DamagedFileError) as error:
        raise DeliveryRefusedError(error.detail) from error
    except UnavailableError as error:
        raise DeliveryError(error.detail) from error


def as_json(message: Message) -> str:
    """Return the body of a webhook: type, time and data."""
    data = {
        "run_id": message.run_id,
        "report": message.report,
        "run_date": message.run_date.isoformat() if message.run_date else None,
        "state": message.state,
        "rows": message.rows,
        "rejected": message.rejected,
        "error": _shortened(message.error),
        "formats": [file.format for file in message.files],
        "links": message.links,
    }
    told = {"type": _TYPES[message.event], "timestamp": message.at.astimezone(UTC).isoformat(), "data": data}
    return json.dumps(told, ensure_ascii=False)


def _shortened(error: dict[str, Any] | None) -> dict[str, Any] | None:
    return {**error, "problems": error["problems"][:MAX_PROBLEMS]} if error is not None else None


def subject(message: Message) -> str:
    """Return the subject of an e-mail; one line, whatever the report is called."""
    text = _SUBJECTS[message.event].format(report=message.report, rows=message.rows or 0)
    one_line = "".join(letter if letter.isprintable() else " " for letter in text)
    return one_line.replace("=?", "= ?")  # with which a header would begin what is to be decoded


def as_text(message: Message, links: Mapping[str, str]) -> str:
    """Return an e-mail's plain text with some links."""
    problems = [f"- {problem}" for problem in _problems(message)]
    told = [f"{name}: {link}" for name, link in links.items()]
    blocks = [subject(message), *_lines(message), "\n".join(problems), "\n".join(told)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def as_html(message: Message, links: Mapping[str, str]) -> str:
    """Return an e-mail's HTML with some links; nothing in it is taken for markup."""
    return _template().render(
        title=subject(message), lines=_lines(message), problems=_problems(message), links=links
    )


@cache
def _template() -> Template:
    from jinja2 import Environment

    return Environment(autoescape=True).from_string(_HTML)


def _lines(message: Message) -> list[str]:
    lines = []
    if message.error is not None:
        lines = [str(message.error["detail"]), str(message.error.get("hint") or "")]
    if message.rejected:
        lines.append(f"{message.rejected:,} rows of the input are in the rejects.")
    if message.run_id is not None:
        lines.append(
            f"Run {message.run_id} of {message.run_date}, {message.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        )
    return [line for line in lines if line]


def _problems(message: Message) -> list[str]:
    found = message.error["problems"] if message.error is not None else []
    more = [f"... and {len(found) - MAX_PROBLEMS:,} more"] if len(found) > MAX_PROBLEMS else []
    return [str(Problem(**problem)) for problem in found[:MAX_PROBLEMS]] + more
