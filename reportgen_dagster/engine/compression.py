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
_WINDOW_BITS = 27  # the largest window that zstd's own tools unpack without being told: 128 MiB

Compression = Literal["gzip", "zstd"]
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
    if compression == "gzip":
        unpacker = zlib.decompressobj(wbits=31)
        return unpacker.decompress(data, size), unpacker.unused_data, unpacker.eof
    from backports import zstd

    frame = zstd.ZstdDecompressor(options=_options())
    return frame.decompress(data, size), frame.unused_data, frame.eof


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
