"""What every log line of ours looks like, as text or JSON, what is known with it, and what must never be in one.

What belongs here: the form of lines, and the ids of the request, user, run and attempt that they are about. What does not: which
lines there are. Modules log with `logging.getLogger(__name__)` and know nothing of this.
"""

from __future__ import annotations

import contextvars
import logging
import re
from collections.abc import Collection, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from reportgen_dagster import tracing

PACKAGES = ("api_gateway", "reportgen_dagster")
REDACTED = "[redacted]"
_SHORTEST_SECRET = 6  # shorter ones would black out ordinary words
_SECRETS = re.compile(
    r"""
    (?P<jwt> \beyJ[\w-]+\.[\w-]+\.[\w-]* )
    | (?P<own> \brg_[a-z]+_[\w-]{8,} | \bwhsec_[\w+/=-]+ )
    | (?P<before> \bBearer\s+
        | (?<=://)[^\s/@:]*:(?=[^\s/@]+@)
        | \b(?:password|passwd|secret|token|authorization|api[_-]?key)\b["']?\s*[=:]\s*["']?(?:Bearer\s+|Basic\s+)? )
      (?P<value> [^\s"'@,;}]+ )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROLS_BUT_LINES = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")

_known: contextvars.ContextVar[dict[str, str] | None] = contextvars.ContextVar("known", default=None)

Line = MutableMapping[str, Any]


@contextmanager
def lines_about(**known: str) -> Iterator[None]:
    """Let every line that is logged while the block runs say what it is about: `request_id`, `user_id`, `run_id`, `attempt`.

    Threads and tasks that the block starts say the same.
    """
    token = _known.set({**(_known.get() or {}), **known})
    try:
        yield
    finally:
        _known.reset(token)


def note(**known: str) -> None:
    """Let the present block of `lines_about` say more from here on, whichever of its threads finds it out."""
    present = _known.get()
    if present is not None:
        present.update(known)


def configure(
    form: Literal["text", "json"],
    level: str,
    *,
    secrets: Collection[str] = (),
    loggers: Sequence[str] = PACKAGES,
) -> None:
    """Send lines to standard error in our form.

    Args:
        form: For people, or for programs: one JSON object a line.
        level: The least level of our own lines; others' are told from warnings on.
        secrets: Texts that are blacked out wherever they stand.
        loggers: Whose lines: names of loggers; an empty name stands for everybody's.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(form, [one for one in secrets if len(one) >= _SHORTEST_SECRET]))
    for name in loggers:
        logging.getLogger(name).handlers = [handler]
    for name in PACKAGES:
        logging.getLogger(name).setLevel(level.upper())


def _formatter(form: Literal["text", "json"], secrets: Sequence[str]) -> logging.Formatter:
    import structlog  # a sixth of a second that commands do without

    redact = _Redaction(secrets)

    def redacted(_logger: object, _method: str, line: Line) -> Line:
        return {name: redact(value) if isinstance(value, str) else value for name, value in line.items()}

    last: list[Any] = [_as_text] if form == "text" else [_for_json, structlog.processors.JSONRenderer()]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper("iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _with_what_is_known,
            structlog.processors.format_exc_info,
            redacted,
            *last,
        ],
        keep_exc_info=False,
    )


class _Redaction:
    """Blacks out secrets in a text."""

    def __init__(self, secrets: Sequence[str]) -> None:
        longest_first = sorted(map(re.escape, secrets), key=len, reverse=True)
        self._ours = re.compile("|".join(longest_first)) if longest_first else None

    def __call__(self, text: str) -> str:
        plain = self._ours.sub(REDACTED, text) if self._ours else text
        return _SECRETS.sub(lambda found: f"{found['before'] or ''}{REDACTED}", plain)


def _with_what_is_known(_logger: object, _method: str, line: Line) -> Line:
    return {**line, **(_known.get() or {}), **tracing.present_ids()}


def _for_json(_logger: object, _method: str, line: Line) -> Line:
    """Return a line's fields in a fixed order; JSON escapes what would break the line."""
    told = {
        "time": line.pop("timestamp"),
        "level": line.pop("level"),
        "logger": line.pop("logger"),
        "message": line.pop("event"),
    }
    return {**told, **line}


def _as_text(_logger: object, _method: str, line: Line) -> str:
    """Return a line for people. Nothing in it can look like a line of its own: those of a stack trace are indented."""
    began = f"{line.pop('timestamp')} {str(line.pop('level')).upper()} {line.pop('logger')}"
    message, trace = _escaped(str(line.pop("event"))), str(line.pop("exception", ""))
    request_id = _escaped(str(line.pop("request_id", "-")))
    others = "".join(f" {name}={_escaped(str(value))}" for name, value in line.items())
    below = "".join(f"\n    {_CONTROLS_BUT_LINES.sub(_escape, part)}" for part in trace.split("\n") if part)
    return f"{began} [{request_id}] {message}{others}{below}"


def _escaped(text: str) -> str:
    return _CONTROLS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"
