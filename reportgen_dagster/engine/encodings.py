"""How the characters of a file are encoded: what a mark says, what the rules say, and what the whole file looks like.

What belongs here: byte order marks, deciding on an encoding, decoding with the place of what does not fit. What does not: cells
(`dialects.py`), line ends (`text_files.py`). Nothing is imported at the top that the gateway would have to wait for.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from reportgen_dagster.errors import Problem, UnreadableFileError

UTF_8 = "utf-8"
WESTERN = "cp1252"
SAMPLE_BYTES = 128 * 1024
SAMPLE_BYTES_PER_CHUNK = 4 * 1024

_MARKS: dict[bytes, str] = {
    codecs.BOM_UTF8: UTF_8,
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# What a file that is no UTF-8 is judged to be. Others must be named by the rules, as single-byte encodings look much alike.
_CANDIDATES = (
    WESTERN, "cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "koi8_r", "cp932", "euc_jp", "gb18030", "big5", "cp949",
)  # fmt: skip
_SINGLE_BYTE = frozenset(_CANDIDATES[:7])
_MOST_CHAOS = 0.2
_NEAR_CHAOS = 0.05
_NEAR_COHERENCE = 0.05
_LETTER = r"[^\W\d_]"
_ODD_PLACE = re.compile(rf"[£¥¤§¨¯¹²³¼½¾](?={_LETTER})|(?<={_LETTER})[¿¡](?={_LETTER})")
_TELLING_LINE = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")

Chunks = Callable[[], Iterable[bytes]]


def mark_of(head: bytes) -> tuple[str, bytes] | None:
    """Return the encoding that a byte order mark tells, and the mark."""
    return next(((name, mark) for mark, name in _MARKS.items() if head.startswith(mark)), None)


def canonical(name: str) -> str:
    """Return the name that this module uses for an encoding that exists."""
    known = codecs.lookup(name).name
    return UTF_8 if known in ("utf-8-sig", "utf_8_sig") else known


def is_wide(encoding: str) -> bool:
    """Tell whether an encoding has NUL bytes in ordinary text."""
    return encoding.startswith(("utf-16", "utf-32"))


def guesses(sample: bytes) -> tuple[str, ...]:
    """Return the encodings that some lines may be in, the likeliest first.

    Args:
        sample: Lines with bytes beyond ASCII, no UTF-8.
    """
    from charset_normalizer import from_bytes

    matches = list(from_bytes(sample, cp_isolation=list(_CANDIDATES), threshold=_MOST_CHAOS))
    # Where several encodings give the same characters, one match stands for them all.
    ranked = [sorted(_names(match), key=_CANDIDATES.index) for match in matches]
    if not ranked or ranked[0][0] not in _SINGLE_BYTE:
        return tuple(name for names in ranked for name in names)
    first = matches[0]
    near = [
        names[0]
        for match, names in zip(matches, ranked, strict=True)
        if names[0] in _SINGLE_BYTE
        and match.chaos <= first.chaos + _NEAR_CHAOS
        and match.coherence >= first.coherence - _NEAR_COHERENCE
    ]
    near.sort(key=lambda name: (_odd_places(sample, name), name != WESTERN))
    return tuple(dict.fromkeys((*near, *(name for names in ranked for name in names))))


def _odd_places(sample: bytes, encoding: str) -> int:
    """Count signs that stand before letters, as in `£ódź`: letters of another encoding look so."""
    return len(_ODD_PLACE.findall(sample.decode(encoding, "replace")))


def _names(match: object) -> list[str]:
    return [name for name in getattr(match, "could_be_from_charset", []) if name in _CANDIDATES]


@dataclass(slots=True)
class _Evidence:
    """What a file that is no UTF-8 looks like.

    Attributes:
        characters: Characters beyond ASCII that are valid UTF-8.
        wrong: Places that are not.
        lines: Lines with bytes beyond ASCII, each once.
    """

    characters: int = 0
    wrong: int = 0
    lines: dict[bytes, None] = field(default_factory=dict)
    size: int = 0

    def take(self, chunk: bytes, text: str) -> None:
        wrong = text.count("\ufffd") - chunk.count(b"\xef\xbf\xbd")
        self.wrong += wrong
        self.characters += len(text) - len(text.encode("ascii", "ignore")) - wrong
        taken = 0
        for found in _TELLING_LINE.finditer(chunk):
            if taken > SAMPLE_BYTES_PER_CHUNK or self.size > SAMPLE_BYTES:
                return
            line = found.group()[:SAMPLE_BYTES_PER_CHUNK]
            taken += len(line)
            if line not in self.lines:
                self.lines[line] = None
                self.size += len(line)

    @property
    def is_damaged_utf8(self) -> bool:
        return self.characters >= self.wrong


def detect(chunks: Chunks) -> str | None:
    """Find the encoding of a file that is no UTF-8, from all of it; every byte fits the result. None if nothing fits.

    A file with more characters that are valid UTF-8 than others is damaged UTF-8; it has no other encoding.

    Args:
        chunks: Gives the file from its beginning.
    """
    evidence = _Evidence()
    decoder = codecs.getincrementaldecoder(UTF_8)("replace")
    for chunk in chunks():
        evidence.take(chunk, decoder.decode(chunk))
    if evidence.is_damaged_utf8:
        return None
    return next((name for name in guesses(b"\n".join(evidence.lines)) if _fits(chunks(), name)), None)


def detect_in(head: bytes) -> str | None:
    """Find the encoding of the beginning of a file as `detect` does; what is cut off at its end does not count."""
    return detect(lambda: [head])


def _fits(chunks: Iterable[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        for chunk in chunks:
            decoder.decode(chunk)
    except UnicodeDecodeError:
        return False
    return True


def decision(encoding: str) -> str:
    """Say in words that an encoding was found by looks."""
    return (
        f"the file is not UTF-8; its characters look like {encoding} and were read so"
        " (`dialect: {encoding: ...}` in the rules decides otherwise)"
    )


def transcoded(chunks: Iterable[bytes], encoding: str, *, name: str) -> Iterator[bytes]:
    """Yield a text as UTF-8, without its byte order mark.

    Raises:
        UnreadableFileError: If bytes do not fit the encoding; names line and byte.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    line, offset, is_first = 1, 0, True
    previous = ""
    for chunk in chunks:
        text = _decoded(decoder, chunk, encoding, line, offset, name, final=False)
        if is_first and text:
            text, is_first = text.removeprefix("\ufeff"), False
        line += line_ends(text) - (previous == "\r" and text.startswith("\n"))
        offset += len(chunk)
        previous = text[-1:] or previous
        yield text.encode(UTF_8, "surrogatepass")
    _decoded(decoder, b"", encoding, line, offset, name, final=True)


def _decoded(
    decoder: codecs.IncrementalDecoder,
    chunk: bytes,
    encoding: str,
    line: int,
    offset: int,
    name: str,
    *,
    final: bool,
) -> str:
    pending = len(decoder.getstate()[0])
    try:
        return decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, "replace")
        line += line_ends(before)
        place = f"line {line}, byte {offset + error.start - pending + 1} of the file"
        message = f"{place}: 0x{error.object[error.start]:02X} is not valid {encoding.upper()}"
    except UnicodeError:
        message = f"line {line}: the file is not valid {encoding.upper()}"
    raise UnreadableFileError(problems=[Problem(message, source=name, line=line)])


def line_ends(text: str) -> int:
    """Count the ends of physical lines, however they are written."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")
