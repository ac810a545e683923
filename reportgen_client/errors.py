"""What can go wrong for a caller of the client. An answer that is an error keeps all members of its problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2


class ReportgenClientError(Exception):
    """The root: catch it to catch everything that this package raises itself."""


class ReportgenApiError(ReportgenClientError):
    """The service answered that it will not, or cannot, do what was asked.

    Attributes:
        status: The HTTP status.
        code: The kind of error, for programs, as `rules-invalid` (docs/errors.md lists them); empty if the answer was no problem.
        title: The same for every case of the kind.
        detail: What happened in this case.
        hint: How to mend it; may be empty.
        errors: Every single thing that is wrong, each with `message`, `path`, `line`, `column` and `source`.
        request_id: What whoever runs the service finds it by in the logs.
        retry_seconds: After how many seconds it is worth to try again; None if the service does not say.
    """

    def __init__(
        self,
        status: int,
        problem: Mapping[str, Any],
        *,
        request_id: str = "",
        retry_seconds: float | None = None,
    ) -> None:
        """Describe an answer.

        Args:
            status: Its HTTP status.
            problem: Its body, as far as it is a JSON object.
            request_id: Its X-Request-Id.
            retry_seconds: Its Retry-After, in seconds.
        """
        self.status = status
        self.code = str(problem.get("code", ""))
        self.title = str(problem.get("title") or f"The service answered with {status}")
        self.detail = str(problem.get("detail") or problem.get("error") or self.title)
        self.hint = str(problem.get("hint", ""))
        self.errors: tuple[Mapping[str, Any], ...] = tuple(problem.get("errors") or ())
        self.request_id = str(problem.get("request_id") or request_id)
        self.retry_seconds = retry_seconds
        super().__init__(f"{self.detail} ({status})")


class ServiceUnreachableError(ReportgenClientError):
    """No answer came, although it was tried again as long as that was safe and the client's patience lasted."""


class DownloadError(ReportgenClientError):
    """What arrived is not the file: its bytes have another digest, or it was replaced meanwhile. Nothing was kept."""


def error_of(answer: httpx2.Response) -> ReportgenApiError:
    """Return the error that an answer tells; its body has been read."""
    try:
        body = answer.json()
    except ValueError:
        body = {}
    problem = body if isinstance(body, dict) else {}
    if answer.has_redirect_location:
        problem = {"detail": f"The service says that it is at {answer.headers['Location']}"}
    request_id = answer.headers.get("X-Request-Id", "")
    return ReportgenApiError(
        answer.status_code, problem, request_id=request_id, retry_seconds=retry_seconds(answer)
    )


def retry_seconds(answer: httpx2.Response) -> float | None:
    """Return the seconds of a Retry-After; None where there is none, or a date."""
    told = answer.headers.get("Retry-After", "")
    return float(told) if told.isdecimal() else None
