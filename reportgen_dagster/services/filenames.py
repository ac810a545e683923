"""What clients call their files, made fit to be shown: never a path, and nothing of a file is looked up by it."""

from __future__ import annotations

import re
import unicodedata

MAX_FILENAME_BYTES = 255
_ENDING = re.compile(r"(?:\.[A-Za-z0-9]{1,10}){1,2}\Z")
_INVISIBLE = (
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
)  # control, bidi marks, surrogates, unassigned, line ends


def shown_filename(name: str, default: str) -> str:
    """Return a client's file name in NFC, without folders and invisible letters, of at most 255 bytes with its ending.

    Args:
        name: As the client wrote it.
        default: Taken where nothing is left of it.
    """
    return _short(_visible(re.split(r"[/\\]", name)[-1])) or _short(_visible(default))


def _visible(text: str) -> str:
    shown = "".join(letter for letter in text if unicodedata.category(letter) not in _INVISIBLE).strip()
    return unicodedata.normalize("NFC", shown) if shown.strip(".") else ""


def _short(text: str) -> str:
    if len(text.encode()) <= MAX_FILENAME_BYTES:
        return text
    found = _ENDING.search(text)
    ending = found[0] if found else ""
    room = MAX_FILENAME_BYTES - len(ending)
    return text.removesuffix(ending).encode()[:room].decode(errors="ignore").rstrip() + ending
