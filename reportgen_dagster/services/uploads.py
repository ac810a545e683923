"""Use case: files and rules come in, are stored durably and become the caller's last upload.

What a CSV file's head says is judged here (`engine/headers.py`); whether rules are valid is `services/check.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from reportgen_dagster.catalog import datasets, rulesets
from reportgen_dagster.catalog.tables import RulesetVersion
from reportgen_dagster.engine.compression import MAGIC_BYTES, Unpacking, compression_of
from reportgen_dagster.engine.headers import HEAD_BYTES, Header, read_header
from reportgen_dagster.errors import BadRequestError, Problem, RulesError, TooLargeError
from reportgen_dagster.formats import Syntax
from reportgen_dagster.services import audit, idempotency, quotas
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.filenames import shown_filename
from reportgen_dagster.services.idempotency import Once
from reportgen_dagster.services.quotas import Room
from reportgen_dagster.storage.store import Stored

DEFAULT = "default"  # the ruleset of the last upload; its files are the datasets `default-input` ...
MAX_RULES_BYTES = 1024 * 1024
_SYNTAXES: dict[str, Syntax] = {"yaml": "yaml", "yml": "yaml", "json": "json"}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that lies in storage and has a header that can be used; the catalog does not know it yet.

    Attributes:
        filename: The client's name for it, for show only.
        stored: Digest and size of its bytes.
        header: What its head says.
    """

    filename: str
    stored: Stored
    header: Header


@dataclass(frozen=True, slots=True)
class RulesText:
    """The text of a rules file, not yet checked.

    Attributes:
        filename: The client's name for it, shown in messages.
        text: The text.
        syntax: `yaml` or `json`.
    """

    filename: str
    text: str
    syntax: Syntax


# Judges the head of a file by its bytes and what it is to the rules; raises FileRefusedError.
Judge = Callable[[bytes, str], Header]


def judge_plainly(head: bytes, role: str) -> Header:
    """Judge the head of a file as if no rules said how it is written.

    Raises:
        FileRefusedError: If it has no header that can be used.
    """
    return read_header(head, name=role)


class Inspection:
    """Watches a file go by: judges its head as soon as that is whole, and what it holds if it is compressed."""

    def __init__(self, role: str, judge: Judge) -> None:
        """Begin.

        Args:
            role: What the file is to the rules, for messages.
            judge: Judges its head.
        """
        self._role = role
        self._judge = judge
        self._head = bytearray()
        self._header: Header | None = None
        self._unpacking: Unpacking | None = None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            FileRefusedError: If the head is complete and cannot be used, or if the file is compressed and damaged or a bomb.
        """
        if self._header is None:
            self._take_head(chunk)
        if self._unpacking is not None:
            self._unpacking.feed(chunk)

    def _take_head(self, chunk: bytes) -> None:
        before = len(self._head)
        self._head += chunk[: HEAD_BYTES - before]
        compression = compression_of(bytes(self._head[:MAGIC_BYTES]))
        if compression is not None and self._unpacking is None:
            self._unpacking = Unpacking(compression, name=self._role)
            self._unpacking.feed(bytes(self._head[:before]))
        if len(self._head) == HEAD_BYTES:
            self._header = self._judge(bytes(self._head), self._role)

    def finish(self) -> Header:
        """Return what the head says.

        Raises:
            FileRefusedError: If the file cannot be used: empty, not text, a bad header, cut off.
        """
        header = self._header or self._judge(bytes(self._head), self._role)
        if self._unpacking is not None:
            self._unpacking.finish()
        return header


class Receiver:
    """One file that comes in piece by piece. Nothing is left of it unless `finish` succeeds."""

    def __init__(
        self,
        context: Context,
        filename: str,
        role: str,
        judge: Judge | None = None,
        *,
        room: Room | None = None,
    ) -> None:
        """Begin.

        Args:
            context: Where to store it, and how large it may be.
            filename: The client's name for it.
            role: What it is to the rules (`input`, `reference`), for messages.
            judge: Judges its head; default: as if no rules said how it is written.
            room: What its owner may still store; default: no bound.

        Raises:
            ServiceError: If the storage does not take it.
        """
        self._filename = shown_filename(filename, f"{role}.csv")
        self._role = role
        self._inspection = Inspection(role, judge or judge_plainly)
        self._limit = context.settings.max_upload_bytes
        self._room = room or Room()
        self._store = context.store
        self._blob = context.store.new_blob()

    def write(self, chunk: bytes) -> None:
        """Append bytes; after an error nothing is left of the file.

        Raises:
            TooLargeError: If the file gets larger than MAX_UPLOAD_BYTES, or than what its owner may still store.
            FileRefusedError: If the head is complete and cannot be used, or the file is compressed and damaged or a bomb.
            ServiceError: If the storage does not take it.
        """
        try:
            self._check_size(len(chunk))
            self._blob.write(chunk)
            self._inspection.feed(chunk)
        except BaseException:
            self.abort()
            raise

    def _check_size(self, more: int) -> None:
        if self._blob.size + more > self._limit:
            raise TooLargeError(
                f"The file {self._role} is larger than {self._limit:,} bytes, the most that is taken."
            )
        self._room.take(more)
        self._store.check_room(more)

    def finish(self) -> Upload:
        """Make the file durable. The same bytes twice are stored once.

        Raises:
            FileRefusedError: If the file cannot be used: empty, not text, a bad header, cut off.
            ServiceError: If the storage does not take it.
        """
        try:
            header = self._inspection.finish()
            return Upload(self._filename, self._blob.finish(), header)
        finally:
            self.abort()

    def abort(self) -> None:
        """Leave nothing behind. Does nothing after `finish`."""
        self._blob.abort()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


def receive(context: Context, filename: str, chunks: Iterable[bytes], *, role: str) -> Upload:
    """Store a file that comes in chunks.

    Raises:
        TooLargeError: If it is larger than MAX_UPLOAD_BYTES.
        FileRefusedError: If it cannot be used.
        ServiceError: If the storage does not take it.
    """
    with Receiver(context, filename, role) as receiver:
        for chunk in chunks:
            receiver.write(chunk)
        return receiver.finish()


def rules_text(data: bytes, filename: str, type_: str | None) -> RulesText:
    """Read the bytes of a rules file as text.

    Args:
        data: All of it.
        filename: The client's name for it; its ending tells the syntax.
        type_: `json` or `yaml`, instead of the ending.

    Raises:
        BadRequestError: If neither type nor ending tells the syntax.
        TooLargeError: If it is larger than 1 MiB.
        RulesError: If it is not UTF-8 text.
    """
    name = shown_filename(filename, "rules.yaml")
    syntax = _syntax(name, type_)
    if len(data) > MAX_RULES_BYTES:
        raise TooLargeError(f"The rules have {len(data):,} bytes; at most {MAX_RULES_BYTES:,} are taken.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{data[error.start]:02X} is not UTF-8; save the rules as UTF-8"
        raise RulesError(problems=[Problem(message, line=line, source=name)]) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise RulesError(problems=[Problem("a NUL character: this is no text", line=line, source=name)])
    return RulesText(name, text, syntax)


def as_rules_text(version: RulesetVersion) -> RulesText:
    """Return a version of a ruleset as the text that was uploaded."""
    return RulesText(version.filename, version.text, as_syntax(version.syntax))


def as_syntax(kept: str) -> Syntax:
    """Return the syntax of rules as the catalog keeps it."""
    return _SYNTAXES[kept]


def _syntax(filename: str, type_: str | None) -> Syntax:
    ending = (type_ or filename.rpartition(".")[2]).lower()
    if ending not in _SYNTAXES:
        asked = f"type={type_}" if type_ else f"the ending of {filename}"
        raise BadRequestError(
            f"Rules are YAML or JSON, which {asked} does not say.",
            hint="Name the file .json, .yaml or .yml, or say ?type=json or ?type=yaml.",
        )
    return _SYNTAXES[ending]


def new_version(upload: Upload, *, version_id: str | None = None) -> datasets.NewVersion:
    """Return what the catalog keeps of an upload; `version_id` where adding it may be repeated after a kill."""
    return datasets.NewVersion(
        digest=upload.stored.digest,
        size_bytes=upload.stored.size_bytes,
        filename=upload.filename,
        header=list(upload.header.columns),
        encoding=upload.header.encoding,
        id=version_id,
    )


def accept_files(
    context: Context, owner_id: str, files: Mapping[str, Upload], *, once: Once | None = None
) -> dict[str, dict[str, Any]]:
    """Make files the caller's last upload, all together or none.

    Args:
        context: The installation.
        owner_id: Whose they are.
        files: By what they are to the rules: `input`, `reference`.
        once: The request that brings them, if that may come again.

    Returns:
        For each file its dataset, version, digest, size_bytes, columns and filename.

    Raises:
        RepeatedRequest: If the request was carried out before.
        TooLargeError: If they are more bytes than the caller may store.
        TooManyError: If they are too many.
        UnavailableError: If the database is away; nothing is accepted then.
    """
    accepted = {}
    with context.catalog.transaction() as session:
        # In the order of their names, so that two calls at once do not wait for each other in a circle.
        for name, upload in sorted(files.items()):
            dataset = f"{DEFAULT}-{name}"
            version = datasets.add_version(session, owner_id, dataset, new_version(upload))
            accepted[name] = {
                "dataset": dataset,
                "version": version.number,
                "digest": version.digest,
                "size_bytes": version.size_bytes,
                "columns": version.header,
                "filename": upload.filename,
            }
        quotas.check_added(context, session, owner_id)
        idempotency.note(session, once, accepted)
    return accepted


def accept_rules(
    context: Context, owner_id: str, rules: RulesText, *, once: Once | None = None
) -> dict[str, Any]:
    """Make rules, checked already, the caller's last upload.

    Args:
        context: The installation.
        owner_id: Whose they are.
        rules: The rules.
        once: The request that brings them, if that may come again.

    Returns:
        The ruleset's name and version.

    Raises:
        TooLargeError: If they are more bytes than the caller may store.
        RepeatedRequest: If the request was carried out before.
        UnavailableError: If the database is away; nothing is accepted then.
    """
    with context.catalog.transaction() as session:
        version = rulesets.add_version(
            session, owner_id, DEFAULT, text=rules.text, syntax=rules.syntax, filename=rules.filename
        )
        quotas.check_added(context, session, owner_id)
        audit.note(session, "rules-changed", owner_id, f"ruleset/{DEFAULT}@{version.number}")
        accepted = {"ruleset": DEFAULT, "version": version.number}
        idempotency.note(session, once, accepted)
        return accepted
