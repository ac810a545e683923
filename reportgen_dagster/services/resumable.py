"""Use case: files that come in over several requests and survive cut connections and restarts.

What belongs here: what of an upload is durable, when it is whole, and what it becomes then. What does not: the protocol
(api_gateway/resumable), growing a file (storage/parts.py), files that come with one request (`uploads.py`).

An offset is written after its bytes were synced, so it never promises what a crash can take. The last stretch is not written at
all before the file is published and a version: who dies in between finds the upload a little short and sends its end again.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Literal

from reportgen_dagster.catalog import datasets, resumable
from reportgen_dagster.catalog.tables import ResumableUpload
from reportgen_dagster.engine.headers import HEAD_BYTES, Header
from reportgen_dagster.errors import (
    BadRequestError,
    ChecksumError,
    ConflictError,
    FileRefusedError,
    GoneError,
    LockedError,
    NotFoundError,
    TooLargeError,
)
from reportgen_dagster.identity import ID_PATTERN
from reportgen_dagster.services import idempotency, quotas
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.filenames import shown_filename
from reportgen_dagster.services.fitting import judge_as_text, judge_by_last_rules
from reportgen_dagster.services.idempotency import Once
from reportgen_dagster.services.names import checked_name
from reportgen_dagster.services.uploads import (
    DEFAULT,
    Inspection,
    Judge,
    Upload,
    new_version,
)
from reportgen_dagster.storage.store import Stored
from reportgen_dagster.syncing import Syncing

LIFE = timedelta(hours=24)  # after the last bytes
SYNC_BYTES = 32 * 1024 * 1024  # what a crash of this process can take
ROLES = ("input", "reference")
CHECKSUMS = ("sha256", "sha1")


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of one request must have.

    Attributes:
        algorithm: One of CHECKSUMS.
        digest: The digest's bytes.
    """

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Became:
    """The version of a dataset that an upload became.

    Attributes:
        dataset: Its name; of a last upload `default-input` and the like.
        version: Its number.
        digest: SHA-256 of the bytes.
        columns: The names in its header.
    """

    dataset: str
    version: int
    digest: str
    columns: list[str]


@dataclass(frozen=True, slots=True)
class ResumableView:
    """An upload as its owner sees it.

    Attributes:
        id: Its id.
        dataset: The named dataset that it becomes a version of; None if it becomes a last upload.
        role: The last upload that it becomes: `input` or `reference`; None if it has a dataset.
        filename: The client's name for it, for show only.
        told: The client's metadata, as it came.
        size_bytes: What it will have.
        offset_bytes: What is durable.
        state: `receiving`, `complete` or `refused`.
        became: The version that it became; None before that, or once that is removed.
        error: Why it was refused, as `ReportgenError.to_json` gives it.
        created_at: When it began.
        expires_at: When it is forgotten unless more comes.
    """

    id: str
    dataset: str | None
    role: str | None
    filename: str
    told: str
    size_bytes: int
    offset_bytes: int
    state: Literal["receiving", "complete", "refused"]
    became: Became | None
    error: dict[str, Any] | None
    created_at: datetime
    expires_at: datetime


def begin(
    context: Context,
    owner_id: str,
    *,
    size_bytes: int,
    metadata: Mapping[str, str],
    told: str = "",
    once: Once | None = None,
) -> ResumableView:
    """Begin an upload.

    Args:
        context: The installation.
        owner_id: Whose it is.
        size_bytes: How many bytes will come.
        metadata: `dataset`, or `role` of a last upload, and `filename` if there is one; others are only kept.
        told: The metadata as the client wrote it.
        once: The request that begins it, if that may come again.

    Raises:
        RepeatedRequest: If the request was carried out before.
        BadRequestError: If the metadata does not say what the file becomes.
        FileRefusedError: If it is to be empty.
        TooLargeError: If it is larger than MAX_UPLOAD_BYTES, or than what the user may still store.
        TooManyError: If the user has too many files or open uploads.
        StorageFullError: If the disk has no room for it.
        UnavailableError: If the database is away.
    """
    dataset = _target(metadata)
    most = context.settings.max_upload_bytes
    if size_bytes == 0:
        raise FileRefusedError("The file is empty.")
    if size_bytes > most:
        raise TooLargeError(f"The file has {size_bytes:,} bytes; at most {most:,} are taken.")
    quotas.room_for_files(context, owner_id).check(size_bytes)
    context.store.check_room(size_bytes)
    with context.catalog.transaction() as session:
        row = resumable.add(
            session,
            owner_id,
            dataset=dataset,
            filename=shown_filename(metadata.get("filename", ""), f"{metadata.get('role') or dataset}.csv"),
            told=told,
            size_bytes=size_bytes,
            life=LIFE,
        )
        quotas.check_added(context, session, owner_id)
        upload = _view(row, None, offset_bytes=0)
        idempotency.note(session, once, upload)
        return upload


def find(context: Context, owner_id: str, upload_id: str) -> ResumableView:
    """Return an upload of the caller's.

    Raises:
        NotFoundError: If there is none.
        GoneError: If it has expired.
        UnavailableError: If the database is away.
    """
    row, became = _found(context, owner_id, upload_id)
    offset = row.size_bytes if row.state == "complete" else _durable(context, row)
    return _view(row, became, offset_bytes=offset)


def _view(row: ResumableUpload, became: Became | None, *, offset_bytes: int) -> ResumableView:
    role = _role(row.dataset)
    return ResumableView(
        id=row.id,
        dataset=None if role else row.dataset,
        role=role,
        filename=row.filename,
        told=row.told,
        size_bytes=row.size_bytes,
        offset_bytes=offset_bytes,
        state=row.state,
        became=became,
        error=row.error,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def terminate(context: Context, owner_id: str, upload_id: str) -> None:
    """Forget an upload and its bytes; what it became stays.

    Raises:
        NotFoundError: If there is none.
        GoneError: If it has expired.
        LockedError: If somebody is writing it.
    """
    _found(context, owner_id, upload_id)
    context.store.parts.remove(upload_id)
    with context.catalog.transaction() as session:
        resumable.remove(session, [upload_id])


def remove_expired(context: Context) -> int:
    """Remove what is left of uploads that nobody went on with, a batch of them; return how many.

    Raises:
        UnavailableError: If the database is away.
        ServiceError: If the storage refuses.
    """
    there = set(context.store.parts.ids())
    with context.catalog.transaction() as session:
        over = resumable.expired(session)
        unknown = there - resumable.known_among(session, there)  # their user is gone
    removed = []
    for upload_id in [*over, *unknown]:
        with suppress(LockedError):
            context.store.parts.remove(upload_id)
            removed.append(upload_id)
    with context.catalog.transaction() as session:
        resumable.remove(session, removed)
    return len(removed)


class Appending:
    """What one request brings to an upload. Nobody else can write it meanwhile."""

    def __init__(
        self,
        context: Context,
        owner_id: str,
        upload_id: str,
        *,
        offset: int,
        checksum: Checksum | None = None,
    ) -> None:
        """Begin to append; use it as a context manager.

        Args:
            context: The installation.
            owner_id: Whose upload.
            upload_id: Which one.
            offset: Where the client thinks that its bytes belong.
            checksum: What they must have; without it each stretch counts as soon as it is durable.

        Raises:
            NotFoundError: If there is no such upload.
            GoneError: If it has expired, or was refused.
            ConflictError: If it is complete, or the offset is another.
            LockedError: If somebody else is writing it.
            FileRefusedError: If what is there already cannot be used; the upload is over then.
        """
        self._context = context
        self._owner_id = owner_id
        self._checksum = checksum
        self._digest = hashlib.new(checksum.algorithm) if checksum else None
        _found(context, owner_id, upload_id)
        with ExitStack() as stack:
            self._part = stack.enter_context(context.store.parts.writing(upload_id))
            self._row, _ = _found(context, owner_id, upload_id)  # as the writer before left it
            self._published = _is_published(context, self._row)
            self._start = self._end = _durable(context, self._row)
            self._check(offset)
            self._part.cut(self._start)  # what was not noted may be lost, whatever the kernel shows of it
            self._whole = self._begun()
            self._stack = stack.pop_all()
        self._noted = self._start
        self._syncing = Syncing(self._note, stretch_bytes=SYNC_BYTES, begun=self._start)
        self._stack.callback(self._syncing.end)

    def _check(self, offset: int) -> None:
        if self._row.state != "receiving":
            self._part.remove()  # made by opening it
        if self._row.state == "refused":
            raise GoneError("The file was refused, and its bytes are gone.")
        if self._row.state == "complete":
            raise ConflictError("The upload is complete; nothing can be added.")
        if offset != self._start:
            raise ConflictError(
                f"The upload has {self._start:,} bytes, so the next ones belong there and not at {offset:,}.",
                hint="Ask for the offset (HEAD) and go on from there.",
            )

    def _begun(self) -> _Whole | None:
        """Return what watches the file from its head on; None if a checksum is to say first whether that is right."""
        if self._start >= HEAD_BYTES or self._published or self._checksum:
            return None
        with self._refusing():
            return self._read()

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            TooLargeError: If they are more than the upload was to have.
            FileRefusedError: If the head is complete and cannot be used; the upload is over then.
            StorageFullError: If the disk has no room for them.
        """
        if self._end + len(data) > self._row.size_bytes:
            raise TooLargeError(f"More bytes came than the {self._row.size_bytes:,} that were announced.")
        self._end += len(data)
        if self._published:
            return  # they are there already
        self._part.write(data)
        if self._digest is not None:
            self._digest.update(data)
        else:
            self._syncing.note(self._end)
        if self._whole is not None:
            with self._refusing():
                self._whole.feed(data)

    def finish(self) -> ResumableView:
        """Keep everything that was written; a file that is whole now becomes a version.

        Raises:
            ChecksumError: If the bytes have another checksum; none of them is kept.
            FileRefusedError: If the file, or its head, is whole and cannot be used; the upload is over then.
            ServiceError: If the storage does not take it.
            UnavailableError: If the database or the storage is away; the end of the file is to be sent again.
        """
        if self._digest and self._checksum and self._digest.digest() != self._checksum.digest:
            self._part.cut(self._start)
            raise ChecksumError(f"The bytes have another {self._checksum.algorithm} than was sent along.")
        return self._kept()

    def finish_cut(self) -> ResumableView:
        """Keep what came of a body that was cut off; nothing if a checksum was to judge all of it.

        Raises:
            FileRefusedError: If the file is whole nevertheless and cannot be used.
            ServiceError: If the storage does not take it.
            UnavailableError: If the database or the storage is away.
        """
        if self._checksum:
            self._part.cut(self._start)
            return find(self._context, self._owner_id, self._row.id)
        return self._kept()

    def _kept(self) -> ResumableView:
        self._syncing.check()
        with self._refusing():
            if self._end == self._row.size_bytes:
                self._complete()
            else:
                self._judge_head()
                self._note(self._end)
        return find(self._context, self._owner_id, self._row.id)

    def _judge_head(self) -> None:
        """Judge the head if it is whole since this request, and was not as it came."""
        if self._whole is None and self._start < HEAD_BYTES <= self._end and not self._published:
            _Whole(self._role, self._judge()).feed(next(self._part.chunks()))

    def _note(self, end: int) -> None:
        """Make durable what came up to there, and say so. The end of the file is said by `_complete`."""
        if end in (self._noted, self._row.size_bytes) or self._published:
            return
        self._part.sync()
        with self._context.catalog.transaction() as session:
            resumable.note_offset(session, self._row.id, end, LIFE)
        self._noted = end

    def _complete(self) -> None:
        """Publish the file and make it a version."""
        row = self._row
        if self._published and row.digest:
            stored = Stored(row.digest, row.size_bytes)
            header = self._judge()(
                b"".join(self._context.store.chunks(row.digest, 0, HEAD_BYTES)), self._role
            )
        else:
            digest, header = (self._whole or self._read()).finish()
            with self._context.catalog.transaction() as session:
                resumable.note_digest(session, row.id, digest)
            stored = self._context.store.put_part(self._part, digest)
        new = new_version(Upload(row.filename, stored, header), version_id=row.id)
        with self._context.catalog.transaction() as session:
            version = datasets.add_version(session, row.owner_id, row.dataset, new)
            resumable.complete(session, row.id, version.id)
        if self._published:
            self._part.remove()  # made by opening it

    def _read(self) -> _Whole:
        """Read again what is there of the file: what came in earlier requests is in no memory."""
        whole = _Whole(self._role, self._judge())
        for chunk in self._part.chunks():
            whole.feed(chunk)
        return whole

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """End the upload if the block finds that the file cannot be used."""
        try:
            yield
        except FileRefusedError as error:
            with self._context.catalog.transaction() as session:
                resumable.refuse(session, self._row.id, error.to_json())
            self._part.remove()
            raise

    @property
    def _role(self) -> str:
        return _role(self._row.dataset) or self._row.dataset

    def _judge(self) -> Judge:
        if _role(self._row.dataset):
            return judge_by_last_rules(self._context, self._owner_id)
        return judge_as_text

    def __enter__(self) -> Appending:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


class _Whole:
    """Watches a file go by from its first byte to its last."""

    def __init__(self, role: str, judge: Judge) -> None:
        self._inspection = Inspection(role, judge)
        self._digest = hashlib.sha256()

    def feed(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self._inspection.feed(chunk)

    def finish(self) -> tuple[str, Header]:
        return self._digest.hexdigest(), self._inspection.finish()


def _target(metadata: Mapping[str, str]) -> str:
    """Return the name of the dataset that an upload becomes a version of."""
    dataset, role = metadata.get("dataset"), metadata.get("role")
    if (dataset is None) == (role is None) or (role is not None and role not in ROLES):
        raise BadRequestError(
            "Upload-Metadata must say what the file becomes: a version of a `dataset`, or the last upload of the"
            f" `role` {' or '.join(ROLES)}."
        )
    if dataset is None:
        return f"{DEFAULT}-{role}"
    return checked_name(unicodedata.normalize("NFC", dataset), "dataset")


def _role(dataset: str) -> str | None:
    return next((role for role in ROLES if dataset == f"{DEFAULT}-{role}"), None)


def _found(context: Context, owner_id: str, upload_id: str) -> tuple[ResumableUpload, Became | None]:
    found = None
    if ID_PATTERN.fullmatch(upload_id):
        with context.catalog.reading() as session:
            found = resumable.find(session, owner_id, upload_id)
    if found is None:
        raise NotFoundError("There is no such upload.")
    row, has_expired, version, dataset = found
    if has_expired:
        raise GoneError(f"The upload expired at {row.expires_at:%Y-%m-%d %H:%M} UTC; begin a new one.")
    if version is None or dataset is None:
        return row, None
    return row, Became(dataset, version.number, version.digest, version.header)


def _is_published(context: Context, row: ResumableUpload) -> bool:
    """Tell whether the file is in storage although it is no version yet: somebody died, or lost the database, in between."""
    is_whole = row.state == "receiving" and row.digest is not None
    return (
        is_whole
        and context.store.parts.size(row.id) < row.size_bytes
        and context.store.exists(row.digest or "")
    )


def _durable(context: Context, row: ResumableUpload) -> int:
    """Return how many bytes of an upload are there for certain."""
    if row.state == "refused" or _is_published(context, row):
        return row.offset_bytes
    return min(row.offset_bytes, context.store.parts.size(row.id))
