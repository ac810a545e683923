"""What a file that is no CSV seems to be, by its first bytes, whatever it is called.

What belongs here: marks that no table in CSV begins with. What does not: compression that is read (`compression.py`), and
whether a text is a table (`headers.py`).
"""

from __future__ import annotations

import re

_SAVE = "save it as CSV"
_PACKED = "only gzip and zstd are read"
_ZIP = re.compile(rb"PK(\x03\x04|\x05\x06|\x07\x08)")
_IN_ZIP_BYTES = 4096  # the names of a workbook's first entries stand there

# In the first bytes; what could also be a column's name has more of the format behind it.
_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), what)
    for pattern, what in (
        (rb"\x89PNG\r\n\x1a\n", "a PNG image"),
        (rb"\xff\xd8\xff", "a JPEG image"),
        (rb"GIF8[79]a", "a GIF image"),
        (rb"II\*\0|MM\0\*", "a TIFF image"),
        (rb"BM.{4}\0\0\0\0", "a BMP image"),
        (rb"RIFF.{4}WEBP", "a WebP image"),
        (rb"RIFF.{4}(WAVE|AVI )|OggS\0|ID3[\x02-\x04]|\0\0.{2}ftyp", "sound or a film"),
        (rb"%PDF-", "a PDF document"),
        (rb"%!PS-", "a PostScript document"),
        (rb"\{\\rtf", "an RTF document"),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"an old Excel workbook; {_SAVE}"),
        (rb"PAR1[\x00-\x08\x0e-\x1f]", "a Parquet file"),
        (rb"ARROW1\0\0|FEA1\0|\xff\xff\xff\xff.{2}\0\0", "an Arrow file"),
        (rb"Obj\x01", "an Avro file"),
        (rb"ORC[\x00-\x08\x0e-\x1f]", "an ORC file"),
        (rb"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (rb"SQLite format 3\0", "an SQLite database"),
        (rb".{8}DUCK[\x00-\xff]{2}\0\0", "a DuckDB database"),
        (rb"\x80[\x02-\x05][\x00-\x20\x28-\x5d\x63\x7d\x8c\x95]", "a Python pickle"),
        (rb"\x7fELF", "a program"),
        (rb"MZ.{0,62}\0", "a program"),
        (rb"BZh[1-9](\Z|1AY&SY|\x17rE8P\x90)", f"compressed by bzip2; {_PACKED}"),
        (rb"\xfd7zXZ\0", f"compressed by xz; {_PACKED}"),
        (rb"7z\xbc\xaf\x27\x1c", f"a 7-Zip archive; {_PACKED}"),
        (rb"Rar!\x1a\x07", f"a RAR archive; {_PACKED}"),
        (rb"\x04\x22\x4d\x18", f"compressed by lz4; {_PACKED}"),
        (rb"\x1f\x9d|\x1f\xa0", f"compressed by compress; {_PACKED}"),
        (rb"\x1f\x8b|\x28\xb5\x2f\xfd", "compressed twice"),
        (rb".{257}ustar[\0 ]", "a tar archive; send the files in it one by one"),
        (rb"(?i)\s*<(!doctype html|html[\s>])", "a web page; was a login page saved instead of the file?"),
        (rb"\s*<\?xml\s", "an XML document"),
    )
)


def seems_to_be(head: bytes) -> str | None:
    """Return what a file is, in words for `this is no CSV file but ...`; None if nothing speaks against CSV.

    Args:
        head: Its first bytes, unpacked.
    """
    if _ZIP.match(head):
        return _in_zip(head[:_IN_ZIP_BYTES])
    return next((what for signature, what in _SIGNATURES if signature.match(head)), None)


def _in_zip(head: bytes) -> str:
    if b"[Content_Types].xml" in head or b"xl/" in head:
        return f"an Excel workbook or another document of Office; {_SAVE}"
    if b"mimetypeapplication/vnd.oasis" in head:
        return f"a document of LibreOffice; {_SAVE}"
    return f"a ZIP archive; {_PACKED}, so send the files in it one by one"
