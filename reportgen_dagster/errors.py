"""The one tree of errors. An error is data: code, title, what happened in this case, how to mend it.

What belongs here: error classes that more than one layer raises or shows. What does not: HTTP statuses (the gateway
maps `fault` and class to one), Dagster events, rich text.

Three branches keep blame apart: `BadRequestError` (who asked is wrong), `BadDataError` (a file's content is wrong),
`ServiceError` (we, or a server that we need, are at fault).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, at one place.

    Attributes:
        message: What is wrong and how to mend it, one line for a person.
        path: Where in the document, as `steps[2].derive.gross`, or the column of a file; empty when it has no place.
        line: 1-based line in the rules file or data file, if known.
        column: 1-based column in that line, if known.
        source: The file the line is in (`rules.yaml`, `input`), if known.
    """

    message: str
    path: str = ""
    line: int | None = None
    column: int | None = None
    source: str = ""

    def __str__(self) -> str:
        """Show as `rules.yaml:14:17  steps[2].derive.gross  unknown column`."""
        place = ":".join(str(part) for part in (self.source, self.line, self.column) if part)
        return "  ".join(part for part in (place, self.path, self.message) if part)

    def to_json(self) -> dict[str, Any]:
        """Return the members of an `errors` entry in problem+json."""
        return asdict(self)


class ReportgenError(Exception):
    """The root of the tree.

    Class attributes:
        code: Stable name for programs, in kebab-case.
        title: The same for every case of this class, one short line.
        hint: How to mend it, where that is the same for every case.
        fault: Whose fault it is: `request`, `data` or `service`.
        exit_code: What the command line exits with.

    Attributes:
        facts: What a run that failed had found out before, by the names of an outcome's members; stays in the process.
    """

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong on our side"
    hint: ClassVar[str] = ""
    fault: ClassVar[str] = "service"
    exit_code: ClassVar[int] = 1

    def __init__(self, detail: str = "", *, problems: Iterable[Problem] = (), hint: str = "") -> None:
        """Describe one case.

        Args:
            detail: What happened in this case; defaults to the title.
            problems: Every single thing that is wrong, when there are several or they have places.
            hint: How to mend this case, instead of the class's hint.
        """
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.detail = detail or self._detail_from_problems() or self.title
        self.case_hint = hint or self.hint
        self.facts: dict[str, Any] = {}
        super().__init__(self.detail)

    def _detail_from_problems(self) -> str:
        if not self.problems:
            return ""
        more = len(self.problems) - 1
        return f"{self.problems[0]}{f' (and {more} more)' if more else ''}"

    def name_sources(self, names: Mapping[str, str]) -> None:
        """Tell of files by other names, such as those that a user knows them by.

        Args:
            names: The new name of each source of a problem; others stay.
        """
        is_derived = self.detail == self._detail_from_problems()
        self.problems = tuple(
            replace(problem, source=names.get(problem.source, problem.source)) for problem in self.problems
        )
        if is_derived:
            self.detail = self._detail_from_problems() or self.title

    def to_json(self) -> dict[str, Any]:
        """Return the error as plain data: code, title, fault, detail, hint and problems."""
        return {
            "code": self.code,
            "title": self.title,
            "fault": self.fault,
            "detail": self.detail,
            "hint": self.case_hint,
            "problems": [problem.to_json() for problem in self.problems],
        }


class BadRequestError(ReportgenError):
    """Who asked sent something wrong or left something out."""

    code = "bad-request"
    title = "The request cannot be carried out as it is"
    fault = "request"
    exit_code = 2


class RulesError(BadRequestError):
    """The rules are wrong; `problems` lists every place."""

    code = "rules-invalid"
    title = "The rules have problems"


class CronError(BadRequestError):
    """A cron expression or time zone is not valid; the detail names the field."""

    code = "cron-invalid"
    title = "The schedule's times are not valid"


class MissingInputError(BadRequestError):
    """A file that the call needs was neither sent nor uploaded before."""

    code = "input-missing"
    title = "A needed file is missing"


class FileRefusedError(BadRequestError):
    """A file was refused when it was uploaded: empty, not text, a header that cannot be used."""

    code = "file-refused"
    title = "The file cannot be used"


class TooLargeError(BadRequestError):
    """A body, file or text exceeds its bound; the detail names both sizes."""

    code = "too-large"
    title = "Too large"


class NotFoundError(BadRequestError):
    """There is no such thing, or it belongs to somebody else (the two are told alike on purpose)."""

    code = "not-found"
    title = "Not found"


class GoneError(NotFoundError):
    """There was such a thing, and it is over for good."""

    code = "gone"
    title = "Not there any more"


class ConflictError(BadRequestError):
    """The state of a thing does not allow the call."""

    code = "conflict"
    title = "Not possible in the present state"


class LockedError(ConflictError):
    """Somebody else is writing the thing at this moment."""

    code = "locked"
    title = "Being written at the moment"
    hint = "Try again in a few seconds."


class ChecksumError(BadRequestError):
    """Bytes that came are not those of the digest that came along; nothing of them was kept."""

    code = "checksum-mismatch"
    title = "The checksum does not fit the bytes"
    hint = "Send the same bytes again."


class CancelledError(BadRequestError):
    """Somebody cancelled the run."""

    code = "cancelled"
    title = "The run was cancelled"


class AuthenticationError(BadRequestError):
    """Nobody valid is asking: no token, or one that is wrong, expired or revoked."""

    code = "not-authenticated"
    title = "Authentication is needed"


class ForbiddenError(BadRequestError):
    """Who asks is known, and may not do this: a token without the scope, a user who is no admin."""

    code = "forbidden"
    title = "Not yours to do"


class PreconditionError(BadRequestError):
    """What is to be changed is not what the caller last saw (`If-Match`)."""

    code = "changed-meanwhile"
    title = "It was changed meanwhile"
    hint = "Get it anew, look at what changed, and send your change with the new ETag."


class KeyReusedError(BadRequestError):
    """An Idempotency-Key came again with something else than the first time."""

    code = "idempotency-key-reused"
    title = "The Idempotency-Key was used for another request"
    hint = "Send each new request with a key of its own; the same key only repeats the same request."


class TooManyError(BadRequestError):
    """A caller asks too often, or has too much of something; `retry_seconds` says when it is worth to try again."""

    code = "too-many"
    title = "Too many"

    def __init__(
        self,
        detail: str = "",
        *,
        problems: Iterable[Problem] = (),
        hint: str = "",
        retry_seconds: int = 60,
    ) -> None:
        """Describe one case; `retry_seconds` is for the caller's program."""
        super().__init__(detail, problems=problems, hint=hint)
        self.retry_seconds = retry_seconds


class BadDataError(ReportgenError):
    """The content of a file does not allow a report; `problems` gives lines and columns."""

    code = "data-refused"
    title = "The data does not allow this report"
    fault = "data"
    exit_code = 3


class UnreadableFileError(BadDataError):
    """A file as a whole cannot be read: encoding, an unclosed quote, not a CSV file."""

    code = "file-unreadable"
    title = "A file cannot be read"


class DuplicateKeyError(BadDataError):
    """A lookup key of a reference is there more than once; the detail names key and a few duplicates."""

    code = "duplicate-key"
    title = "A lookup key is not unique"


class ContractError(BadDataError):
    """Data breaks a contract that does not divert rows: a reference's or the output's."""

    code = "contract-broken"
    title = "A contract is broken"
    hint = "Correct the data, or the contract if it asks too much: a field's `severity: warn` or `threshold` lets rows pass."


class ManifestError(BadDataError):
    """A file is not the one that a manifest names, or a report that was made again is not the manifest's."""

    code = "manifest-differs"
    title = "Something differs from the manifest"


class LimitError(BadDataError):
    """A run reached its memory, time or disk limit."""

    code = "limit-reached"
    title = "A limit of the run was reached"


class ServiceError(ReportgenError):
    """A fault of ours or of a server that we need."""

    code = "internal"
    title = "Something went wrong on our side"
    hint = "Try again; if it stays, give the request id to whoever runs this service."


class StorageFullError(ServiceError):
    """There is no room for a file, or only what is kept free for running reports."""

    code = "storage-full"
    title = "The storage is full"
    hint = "Whoever runs this service has to make room; then try again."


class LostFileError(ServiceError):
    """A file that the catalog speaks of is not in storage."""

    code = "file-lost"
    title = "A file is missing in storage"


class DamagedFileError(ServiceError):
    """A file in storage has other bytes than were stored."""

    code = "file-damaged"
    title = "A file is damaged in storage"


class UnavailableError(ServiceError):
    """A server that we need does not answer; the work stays accepted and is tried again."""

    code = "unavailable"
    title = "A needed service is not available"
    hint = "Try again in a few seconds."


class AccountingError(ServiceError):
    """Rows in are not rows out plus rows rejected. Never published."""

    code = "rows-unaccounted"
    title = "Rows are unaccounted for"


class WorkerLostError(ServiceError):
    """The workers of a run died as often as a run may be tried."""

    code = "worker-lost"
    title = "The run's worker was lost"


class DeliveryError(ServiceError):
    """A message or a copy of a report did not reach its destination."""

    code = "delivery-failed"
    title = "The delivery failed"
    hint = "It is tried again for a day, later each time; after that `reportgen deliveries redeliver` sends it anew."


class DeliveryRefusedError(DeliveryError):
    """A destination does not take a message or a copy and never will; it is not tried again."""

    code = "delivery-refused"
    title = "The destination refuses the delivery"
    hint = "Mend the destination; then `reportgen deliveries redeliver` sends it anew."


def error_from_json(data: Mapping[str, Any]) -> ReportgenError:
    """Rebuild an error from `ReportgenError.to_json`, e.g. one that crossed a process border.

    Raises:
        KeyError: If `data` lacks `code` or `detail`.
    """
    classes = {cls.code: cls for cls in reversed(error_classes())}
    cls = classes.get(data["code"], ServiceError)
    problems = [Problem(**problem) for problem in data.get("problems", ())]
    return cls(data["detail"], problems=problems, hint=data.get("hint", ""))


def error_classes() -> list[type[ReportgenError]]:
    """List every class of the tree, parents first, for the reference page."""
    found: list[type[ReportgenError]] = [ReportgenError]
    for cls in found:
        found.extend(cls.__subclasses__())
    return found
