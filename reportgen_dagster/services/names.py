"""Names that users give to datasets, rulesets, reports and schedules: what they may be, and what is near to a wrong one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from reportgen_dagster.errors import BadRequestError

MAX_NAME = 100
# Last uploads, files and rules of single runs, and what was deleted are called so in the catalog.
RESERVED = re.compile(r"default(?:-.*)?|(?:run|deleted)-[0-9a-f]{32}(?:-.*)?")


def checked_name(name: str, what: str) -> str:
    """Return a name without blanks around it.

    Args:
        name: As it was given.
        what: What is called so, for the message.

    Raises:
        BadRequestError: If it cannot be used.
    """
    plain = name.strip()
    if not plain or len(plain) > MAX_NAME or not plain.isprintable() or "/" in plain:
        raise BadRequestError(f"{what}: 1 to {MAX_NAME} printable characters are needed, and no slash.")
    if plain in (".", ".."):
        raise BadRequestError(f"{what}: {plain} is a step in paths and URLs; choose another.")
    if RESERVED.fullmatch(plain):
        raise BadRequestError(f"{what}: {plain} is what files of another kind are called; choose another.")
    return plain


def may_exist(name: str) -> bool:
    """Tell whether something of the user's own may be called so; what cannot be is not even asked for."""
    return name.isprintable() and not RESERVED.fullmatch(name)


def is_named(name: str) -> bool:
    """Tell whether somebody chose a name; Dagster shows what has such a name, and tells of each version once."""
    return not RESERVED.fullmatch(name)


def deleted_name(id_: str) -> str:
    """Return what something is called that was deleted while runs still point to its versions."""
    return f"deleted-{id_}"


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known name that is most like a wrong one; empty if none is."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {near[0]}?" if near else ""
