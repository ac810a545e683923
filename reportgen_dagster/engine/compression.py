"""What is inside a compressed file, known by its first bytes, whatever it is called.

What belongs here: gzip and zstd, each read in bounded pieces. What does not: what the bytes inside mean.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reportgen_dagster.errors import FileRefusedError, LimitError, Problem, UnreadableFileError

if TYPE_CHECKING:
    from backports import zstd

CHUNK_BYTES = 1024 * 1024
MAX_UNPACKED_BYTES = 100 * 1000**3
MAX_RATIO = 100  # text beyond that is no table but a bomb ...
HARMLESS_BYTES = 64 * 1024**2  # ... unless it is small
_WINDOW_BITS = 27  # the largest window that zstd's own tools unpack without being told: 128 MiB

Compression = Literal["gzip", "zstd"]
MAGIC_BYTES = 4
_MAGIC: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


def compression_of(head: bytes) -> Compression | None:
    """Tell how a file is compressed."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def unpacked_head(head: bytes, compression: Compression, *, size: int, name: str) -> tuple[bytes, bool]:
    """Return the beginning of what a compressed file holds, and whether that is all of it.

    Args:
        head: The beginning of the file.
        compression: How it is compressed.
        size: How many bytes are wanted at most.
        name: What the file is called in messages.

    Raises:
        FileRefusedError: If it begins as compressed but is damaged.
    """
    text, rest, is_over = b"", head, True
    try:
        while rest and is_over and len(text) < size:
            part, rest, is_over = _member(rest, compression, size - len(text))
            text += part
    except (zlib.error, _zstd_error()):
        is_over = False
    if not text and not is_over:
        message = f"the file begins like {compression} but is damaged or cut off"
        raise FileRefusedError(problems=[Problem(message, source=name)])
    return text, is_over and not rest


def _member(data: bytes, compression: Compression, size: int) -> tuple[bytes, bytes, bool]:
    """Unpack one gzip member or zstd frame; return its text, what stands behind it, and whether it ended."""
    unpacker = _unpacker(compression)
    return unpacker.decompress(data, size), unpacker.unused_data, unpacker.eof


def unpacked(source: Path, compression: Compression, *, name: str) -> Iterator[bytes]:
    """Yield what a compressed file holds.

    Raises:
        UnreadableFileError: If it is damaged or cut off.
        LimitError: If it holds more than `MAX_UNPACKED_BYTES`.
    """
    size = 0
    try:
        with _opened(source, compression) as file:
            while chunk := file.read(CHUNK_BYTES):
                size += len(chunk)
                if size > MAX_UNPACKED_BYTES:
                    message = f"{name}: unpacked, the file is larger than {MAX_UNPACKED_BYTES:,} bytes"
                    raise LimitError(message)
                yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error, _zstd_error()):
        message = f"the {compression} data is damaged or cut off after {size:,} bytes of text"
        raise UnreadableFileError(problems=[Problem(message, source=name)]) from None


class Unpacking:
    """Watches a compressed file go by: whether it is whole, and that what it holds keeps within bounds.

    Nothing of what it holds is kept.
    """

    def __init__(self, compression: Compression, *, name: str) -> None:
        """Begin.

        Args:
            compression: How the file is compressed.
            name: What it is called in messages.
        """
        self._compression = compression
        self._name = name
        self._packed = self._unpacked = 0
        self._unpacker: Any = None  # of the present gzip member or zstd frame

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the file.

        Raises:
            FileRefusedError: If it is damaged, or holds too much.
        """
        self._packed += len(data)
        try:
            while data:
                data = self._member(data)
        except (zlib.error, _zstd_error()):
            raise self._refused("is damaged") from None

    def finish(self) -> None:
        """Take the end of the file.

        Raises:
            FileRefusedError: If it is cut off.
        """
        if self._unpacker is not None:
            raise self._refused("is cut off")

    def _member(self, data: bytes) -> bytes:
        """Unpack more of one member; return what stands behind its end."""
        if self._unpacker is None:
            data = data.lstrip(b"\0") if self._compression == "gzip" else data  # as gzip's own tools do
            self._unpacker = _unpacker(self._compression) if data else None
        while self._unpacker is not None:
            text = self._unpacker.decompress(data, CHUNK_BYTES)
            self._count(len(text))
            if self._unpacker.eof:
                data, self._unpacker = self._unpacker.unused_data, None
                return data
            data = getattr(self._unpacker, "unconsumed_tail", b"")
            if not data and len(text) < CHUNK_BYTES:
                break
        return b""

    def _count(self, size: int) -> None:
        self._unpacked += size
        most = min(MAX_UNPACKED_BYTES, max(MAX_RATIO * self._packed, HARMLESS_BYTES))
        if self._unpacked > most:
            message = (
                f"unpacked, the file has more than {most:,} bytes; at most {MAX_RATIO} times its own size and"
                f" {MAX_UNPACKED_BYTES:,} bytes are read"
            )
            raise FileRefusedError(problems=[Problem(message, source=self._name)])

    def _refused(self, what: str) -> FileRefusedError:
        message = f"the {self._compression} data {what} after {self._unpacked:,} bytes of text"
        return FileRefusedError(problems=[Problem(message, source=self._name)])


def _unpacker(compression: Compression) -> Any:
    if compression == "gzip":
        return zlib.decompressobj(wbits=31)
    from backports import zstd

    return zstd.ZstdDecompressor(options=_options())


def _opened(source: Path, compression: Compression) -> gzip.GzipFile | zstd.ZstdFile:
    if compression == "gzip":
        return gzip.open(source)
    from backports import zstd

    return zstd.ZstdFile(source, options=_options())


def _options() -> dict[Any, int]:
    from backports import zstd

    return {zstd.DecompressionParameter.window_log_max: _WINDOW_BITS}


def _zstd_error() -> type[Exception]:
    from backports import zstd

    return zstd.ZstdError
