"""What of a secret nobody could guess: the characters that belong to no well-known word, sequence or repetition.

What is generated has next to none of these, and loses a few characters at most where chance spells a short one; a placeholder
is made of nothing else. What belongs here: telling them apart. What does not: which setting wants how much (settings.py).
"""

from __future__ import annotations

import re

_SEQUENCE = 4
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_SEQUENCES = frozenset(
    row[at : at + _SEQUENCE]
    for one in _ROWS
    for row in (one, one[::-1])
    for at in range(len(row) - _SEQUENCE + 1)
)
_WORDS = re.compile(
    # The key of a much copied tutorial, then the words of such texts; a longer one stands before what it begins with.
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"
    "|access|admin|bits?|bytes?|changed?|default|demo|development|dev|django|dummy|enter|example|generated?|here|insecure"
    "|keys?|least|letmein|local|long|must|password|passwd|placeholder|please|postgresql|postgres|private|production|random"
    "|redis|replace|reportgen|root|sample|secrets?|sign(?:ing|ature)?|string|super|temporary|test(?:ing)?|this|token|user"
    "|valkey|value|very|with|your?|jwt|128|256|512"
)


def free_characters(secret: str) -> int:
    """Return how many letters and digits of a secret are in no well-known word, sequence or repetition."""
    text = _once("".join(filter(str.isalnum, secret.casefold())))
    known = {at for found in _WORDS.finditer(text) for at in range(*found.span())}
    return len(text) - len(known | _in_sequences(text))


def _once(text: str) -> str:
    """Return the shortest text of which a text is a repetition, cut off or not."""
    return next((text[:length] for length in range(1, len(text)) if text.startswith(text[length:])), text)


def _in_sequences(text: str) -> set[int]:
    pieces = {at: text[at : at + _SEQUENCE] for at in range(len(text) - _SEQUENCE + 1)}
    starts = [at for at, piece in pieces.items() if piece in _SEQUENCES or len(set(piece)) == 1]
    return {at + further for at in starts for further in range(_SEQUENCE)}
