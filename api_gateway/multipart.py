"""Reads `multipart/form-data` while it arrives: files go straight into storage, never whole into memory or a temp folder.

Only small samples, of which nothing is to be kept, go into a folder that ends with their call.

Which parts a call takes is said by the call's `FormShape`; what a file must look like is said by services/uploads.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from api_gateway.errors import MediaTypeError
from api_gateway.streaming import pour
from reportgen_dagster.errors import BadRequestError, TooLargeError
from reportgen_dagster.services import quotas, uploads
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.filenames import shown_filename
from reportgen_dagster.services.fitting import judge_as_text
from reportgen_dagster.services.parameters import read_parameters
from reportgen_dagster.services.quotas import Room
from reportgen_dagster.services.uploads import Judge, Receiver, RulesText, Upload
from reportgen_dagster.storage.disk import told_as_ours

MAX_PARTS = 16
MAX_FIELD_BYTES = 64 * 1024
MAX_RULES_BYTES = 1024 * 1024
MAX_SAMPLE_BYTES = 16 * 1000**2
MAX_HEADERS = 8
MAX_HEADER_BYTES = 8 * 1024
MAX_NAME_CHARACTERS = 200
MAX_OUTSIDE_BYTES = 64 * 1024  # before the first part and behind the last

_PART_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class FormShape:
    """The parts that a call takes.

    Attributes:
        files: Part name -> the file's name in the rules (`input`, `reference`).
        fields: Names of short texts.
        objects: Names of JSON objects of plain values.
        rules: Name of the part that brings rules; empty if the call takes none.
        any_reference: Whether any other part is a reference of that name.
    """

    files: dict[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    rules: str = ""
    any_reference: bool = False

    @property
    def takes_files(self) -> bool:
        """Whether a part may be a file."""
        return bool(self.files) or self.any_reference

    def file_name(self, part: str) -> str | None:
        """Return the name in the rules of the file that a part brings; None if it brings no file."""
        if part in self.files:
            return self.files[part]
        return part if self.any_reference and _PART_NAME.fullmatch(part) else None

    def names(self) -> str:
        """List the parts for a message."""
        return ", ".join(name for name in (*self.files, self.rules, *self.fields, *self.objects) if name)


@dataclass(slots=True)
class Form:
    """What arrived, complete: files are on disk and durable, in no catalog yet."""

    files: dict[str, Upload] = field(default_factory=dict)
    samples: dict[str, Path] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: RulesText | None = None


async def read_form(
    request: Request,
    context: Context,
    owner_id: str,
    shape: FormShape,
    *,
    rules_type: str | None = None,
    judge: Judge = judge_as_text,
    samples: Path | None = None,
) -> Form:
    """Read a request's body.

    Args:
        request: The request; its body has not been read.
        context: Where files are stored.
        owner_id: Whose files they become.
        shape: The parts that the call takes.
        rules_type: `json` or `yaml` for rules whose file name does not say so.
        judge: Judges the heads of files; default: any text will do, for rules that come along may say how it is written.
        samples: Files are samples: they go into this folder unjudged instead of into storage, and are small.

    Raises:
        MediaTypeError: If the body is not multipart/form-data.
        TooLargeError: If a file, field or text exceeds its bound, or the files what the owner may still store.
        TooManyError: If the owner has too many files.
        StorageFullError: If the disk has no room for them.
        StalledError: If the body stops coming; nothing is kept then.
        FileRefusedError: If a file cannot be used.
        BadRequestError: For a malformed or cut off body, or parts that the call does not take.
        ClientDisconnect: If the client went away; nothing is kept then.
    """
    boundary = _boundary(request)
    stores = shape.takes_files and samples is None
    room = await run_in_threadpool(quotas.room_for_files, context, owner_id) if stores else Room()
    largest = context.settings.max_upload_bytes if samples is None else MAX_SAMPLE_BYTES
    _refuse_early(request, shape, room, largest)
    with _FormReader(context, shape, boundary, rules_type, judge, room, samples) as reader:
        await pour(request, reader.feed)
        return await run_in_threadpool(reader.finish)


def has_body(request: Request) -> bool:
    """Tell whether a request brings a body, from its headers."""
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _boundary(request: Request) -> bytes:
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type != b"multipart/form-data":
        raise MediaTypeError("Send the files as multipart/form-data.")
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise BadRequestError("The Content-Type names no boundary.")
    return boundary


def _refuse_early(request: Request, shape: FormShape, room: Room, largest: int) -> None:
    """Refuse what is too large by its own account, before a byte of it is read."""
    files = MAX_PARTS if shape.any_reference else len(shape.files)
    around = MAX_PARTS * MAX_FIELD_BYTES + MAX_RULES_BYTES
    bound = files * largest + around
    header = request.headers.get("content-length", "")
    told = int(header) if header.isdecimal() else 0
    if told > bound:
        raise TooLargeError(f"The body has {told:,} bytes; this call takes at most {bound:,}.")
    room.check(max(told - around, 0))


class _Part(Protocol):
    """Where a part's bytes go. `finish` adds the part to the form, `abort` leaves nothing of it."""

    def write(self, data: bytes) -> None: ...

    def finish(self, form: Form) -> None: ...

    def abort(self) -> None: ...


class _FilePart:
    def __init__(self, context: Context, name: str, filename: str, judge: Judge, room: Room) -> None:
        self._name = name
        self._receiver = Receiver(context, filename, name, judge, room=room)

    def write(self, data: bytes) -> None:
        self._receiver.write(data)

    def finish(self, form: Form) -> None:
        form.files[self._name] = self._receiver.finish()

    def abort(self) -> None:
        self._receiver.abort()


class _SamplePart:
    def __init__(self, context: Context, folder: Path, name: str) -> None:
        self._name = name
        self._path = folder / name
        self._check_room = context.store.check_room
        with told_as_ours():
            self._file = self._path.open("wb")
        self._size = 0

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_SAMPLE_BYTES:
            raise TooLargeError(f"{self._name} has more than {MAX_SAMPLE_BYTES:,} bytes; send its beginning.")
        self._check_room(len(data))
        with told_as_ours():
            self._file.write(data)

    def finish(self, form: Form) -> None:
        with told_as_ours():
            self._file.close()
        form.samples[self._name] = self._path

    def abort(self) -> None:
        with suppress(OSError):  # of bytes that nobody wants any more
            self._file.close()  # whoever made the folder removes it


class _TextPart:
    def __init__(self, name: str, limit: int, keep: Callable[[Form, bytes], None]) -> None:
        self._name = name
        self._limit = limit
        self._keep = keep
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._limit:
            raise TooLargeError(f"{self._name} has more than {self._limit:,} bytes.")

    def finish(self, form: Form) -> None:
        self._keep(form, bytes(self._data))

    def abort(self) -> None:
        self._data.clear()


class _FormReader:
    """Takes the body's bytes in order; runs in threads, one call at a time."""

    def __init__(
        self,
        context: Context,
        shape: FormShape,
        boundary: bytes,
        rules_type: str | None,
        judge: Judge,
        room: Room,
        samples: Path | None,
    ) -> None:
        self._context = context
        self._shape = shape
        self._rules_type = rules_type
        self._judge = judge
        self._samples = samples
        self._room = room
        self._outside = 0
        self._parts: dict[str, _Part] = {}
        self._write: Callable[[bytes], None] = _drop
        self._header = (bytearray(), bytearray())
        self._disposition = ""
        self._complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_end": self._on_end,
                },
                max_header_count=MAX_HEADERS,
                max_header_size=MAX_HEADER_BYTES,
            )
        except FormParserError as error:
            raise BadRequestError(f"The body is not valid multipart/form-data: {error}") from None

    def __enter__(self) -> _FormReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in self._parts.values():
            part.abort()

    def feed(self, data: bytes) -> None:
        """Parse more of the body."""
        was_complete = self._complete
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadRequestError(f"The body is not valid multipart/form-data: {error}") from None
        if was_complete or not self._parts:
            self._outside += len(data)
            if self._outside > MAX_OUTSIDE_BYTES:
                raise BadRequestError("Too much stands before the first part of the form or behind the last.")

    def finish(self) -> Form:
        """Make all files durable."""
        if not self._complete:
            raise BadRequestError("The body was cut off before its end; nothing was kept.")
        form = Form()
        for part in self._parts.values():
            part.finish(form)
        return form

    def _on_part_begin(self) -> None:
        if len(self._parts) >= MAX_PARTS:
            raise BadRequestError(f"A form may have at most {MAX_PARTS} parts.")
        self._disposition = ""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _on_header_end(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value.decode("latin-1")
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = _text(options.get(b"name", b""))
        if not name:
            raise BadRequestError("A part of the form has no name.")
        if name in self._parts:
            raise BadRequestError(f"The form has more than one part named {name[:MAX_NAME_CHARACTERS]!r}.")
        self._parts[name] = self._open(name, options.get(b"filename"))
        self._write = self._parts[name].write

    def _open(self, name: str, filename: bytes | None) -> _Part:
        shown = shown_filename(_text(filename or b""), name)
        if filename == b"":
            return _TextPart(name, 0, lambda _form, _data: None)  # a browser's file field left empty
        if name == self._shape.rules:
            return _TextPart(name, MAX_RULES_BYTES, lambda form, data: self._keep_rules(form, data, shown))
        if name in self._shape.fields:
            return _TextPart(name, MAX_FIELD_BYTES, lambda form, data: _keep_field(form, name, data))
        if name in self._shape.objects:
            return _TextPart(name, MAX_FIELD_BYTES, lambda form, data: _keep_object(form, name, data))
        file_name = self._shape.file_name(name)
        if file_name is None:
            raise BadRequestError(
                f"This call takes no part named {name[:MAX_NAME_CHARACTERS]!r}; it takes {self._shape.names()}."
            )
        if self._samples is not None:
            return _SamplePart(self._context, self._samples, file_name)
        return _FilePart(self._context, file_name, shown, self._judge, self._room)

    def _keep_rules(self, form: Form, data: bytes, filename: str) -> None:
        form.rules = uploads.rules_text(data, filename, self._rules_type)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._write(data[start:end])

    def _on_end(self) -> None:
        self._complete = True


def _drop(_: bytes) -> None:
    """Take the bytes of no part; there are none before the first part's headers."""


def _keep_field(form: Form, name: str, data: bytes) -> None:
    text = _text(data)
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise BadRequestError(f"{name} must be one line of text in UTF-8 without control characters.")
    form.fields[name] = text


def _keep_object(form: Form, name: str, data: bytes) -> None:
    text = _text(data).strip()
    form.objects[name] = read_parameters(text) if text else {}


def _text(data: bytes) -> str:
    """Decode a name or field; what is not UTF-8 becomes visible marks."""
    return data.decode(errors="replace")
