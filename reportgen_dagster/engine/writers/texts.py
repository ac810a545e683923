"""Many texts as the bytes that they are."""

from __future__ import annotations

import pyarrow as pa


def bytes_of(texts: pa.StringArray) -> memoryview:
    """Return the bytes of texts without null, one behind the other, as they lie in memory."""
    _, offsets, data = texts.buffers()
    if not len(texts) or data is None:
        return memoryview(b"")
    ends = memoryview(offsets).cast("q" if pa.types.is_large_string(texts.type) else "i")
    return memoryview(data)[ends[texts.offset] : ends[texts.offset + len(texts)]]
